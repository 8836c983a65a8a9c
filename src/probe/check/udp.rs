//! One datagram and its reply.

use super::connect::Permitted;
use super::http::contains;
use super::{Seen, Trouble, datagram};
use crate::health::Kind;
use crate::model::ExpectDatagram;

/// What is sent, and what is a good reply. The first reply decides: another sender's cannot come.
#[derive(Debug)]
pub(super) struct Datagram {
    send: Box<[u8]>,
    expect: ExpectDatagram,
}

impl Datagram {
    pub(super) fn new(send: &[u8], expect: &ExpectDatagram) -> Self {
        Self { send: send.into(), expect: expect.clone() }
    }

    /// Asks from a fresh port, and judges what comes.
    pub(super) async fn run(&self, to: Permitted, seen: &mut Seen) -> Result<(), Trouble> {
        let socket = datagram::open(to).await?;
        datagram::ask(&socket, &self.send, seen, |reply| Some(self.judge(reply))).await?
    }

    fn judge(&self, reply: &[u8]) -> Result<(), Trouble> {
        let prefix = &*self.expect.prefix;
        if !reply.starts_with(prefix) {
            let start = &reply[..reply.len().min(prefix.len())];
            let detail = format!("the reply starts with \"{}\", not \"{}\"", hex(start), hex(prefix));
            return Err(Trouble::endpoint(Kind::Body, detail));
        }
        match &self.expect.body {
            Some(text) if !contains(reply, text.as_bytes()) => {
                let detail = format!("the text is not in the {} octets of the reply", reply.len());
                Err(Trouble::endpoint(Kind::Body, detail))
            }
            _ => Ok(()),
        }
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::servers;
    use super::*;

    /// How `reply` is judged.
    async fn judged(reply: &'static [u8], body: Option<&str>, prefix: &[u8]) -> Result<(), String> {
        let to = servers::answering(move |_| vec![reply.to_vec()]).await;
        let expect = ExpectDatagram { body: body.map(Into::into), prefix: prefix.into() };
        let ended = Datagram::new(b"ping", &expect).run(servers::permitted(to), &mut Seen::default()).await;
        ended.map_err(|trouble| match trouble {
            Trouble::Endpoint { kind: Kind::Body, detail } => detail.to_string(),
            other => panic!("{other:?}"),
        })
    }

    #[tokio::test]
    async fn any_reply_will_do_if_none_is_described() {
        assert_eq!(judged(b"", None, b"").await, Ok(()));
        assert_eq!(judged(b"\xff\0", None, b"").await, Ok(()));
    }

    #[tokio::test]
    async fn a_reply_must_hold_the_text_and_start_with_the_octets() {
        assert_eq!(judged(b"\x80\x01 pong", Some("pong"), &[0x80, 1]).await, Ok(()));
        let wrong = judged(b"\x80\x02 pong", Some("pong"), &[0x80, 1]).await;
        assert_eq!(wrong, Err("the reply starts with \"8002\", not \"8001\"".into()));
        assert_eq!(judged(b"", None, &[0x80]).await, Err("the reply starts with \"\", not \"80\"".into()));
        let lacking = judged(b"busy", Some("pong"), b"").await;
        assert_eq!(lacking, Err("the text is not in the 4 octets of the reply".into()));
    }
}
