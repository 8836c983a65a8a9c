//! One DNS query.
//!
//! ```text
//!   udp   datagram(s) --> the reply to this query? --no--> wait on
//!   tcp   connect ------> the reply to this query? --no--> failed
//!                                  '--yes--> rcode --> the answer section, if answers are expected
//! ```
//!
//! Over UDP anybody who guesses a port can send something; only what has the id and the question of the query,
//! and comes from the address asked, is a reply.

use std::hash::{BuildHasher, RandomState};

use domain::base::iana::Class;
use domain::base::rdata::{ComposeRecordData, ParseAnyRecordData};
use domain::base::wire::ParseError;
use domain::base::{Message, MessageBuilder, ParsedName, Rtype, ToName};
use domain::dep::octseq::Parser;
use domain::rdata::AllRecordData;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::connect::{Permitted, connect};
use super::{Seen, Stage, Trouble, datagram};
use crate::health::Kind;
use crate::model::{Answer, ExpectAnswer, Name, Transport};

/// What is asked, and what is a good reply.
#[derive(Debug)]
pub(super) struct Query {
    name: Name,
    record: Rtype,
    transport: Transport,
    recursion_desired: bool,
    expect: ExpectAnswer,
}

impl Query {
    pub(super) fn new(
        name: &Name,
        record: Rtype,
        transport: Transport,
        recursion_desired: bool,
        expect: &ExpectAnswer,
    ) -> Self {
        Self { name: name.clone(), record, transport, recursion_desired, expect: expect.clone() }
    }

    /// Asks from a fresh port with a fresh id, and judges the reply.
    pub(super) async fn run(&self, to: Permitted, seen: &mut Seen) -> Result<(), Trouble> {
        let id = drawn();
        match self.transport {
            Transport::Udp => {
                let socket = datagram::open(to).await?;
                let read = |octets: &[u8]| self.reply(octets, id).map(|reply| self.judge(&reply));
                datagram::ask(&socket, &self.message(id), seen, read).await?
            }
            Transport::Tcp => {
                let octets = self.exchange(id, to, seen).await?;
                let reply = self.reply(&octets, id);
                self.judge(&reply.ok_or_else(|| Trouble::endpoint(Kind::Other, "no reply to this query"))?)
            }
        }
    }

    /// Over a connection whose other end one message is read from.
    async fn exchange(&self, id: u16, to: Permitted, seen: &mut Seen) -> Result<Vec<u8>, Trouble> {
        let mut stream = connect(to, seen).await?;
        seen.stage = Stage::Reply;
        let message = self.message(id);
        let length = u16::try_from(message.len()).expect("a name and an option are short");
        stream.write_all(&[&length.to_be_bytes(), &message[..]].concat()).await?;
        let length = stream.read_u16().await?;
        let mut reply = vec![0; length.into()];
        stream.read_exact(&mut reply).await?;
        Ok(reply)
    }

    /// With EDNS, as resolvers ask: what fits a packet is not truncated.
    fn message(&self, id: u16) -> Vec<u8> {
        let mut message = MessageBuilder::new_vec();
        message.header_mut().set_id(id);
        message.header_mut().set_rd(self.recursion_desired);
        let mut message = message.question();
        message.push((&self.name, self.record)).expect("a vector grows");
        let mut message = message.additional();
        message
            .opt(|options| {
                options.set_udp_payload_size(PAYLOAD_MAX);
                Ok(())
            })
            .expect("a vector grows");
        message.finish()
    }

    /// The reply to the query of this id, if that is what it is. An error may leave the question out.
    fn reply<'o>(&self, octets: &'o [u8], id: u16) -> Option<Message<&'o [u8]>> {
        let reply = Message::from_octets(octets).ok()?;
        let header = reply.header();
        if !header.qr() || header.id() != id {
            return None;
        }
        let asked = match reply.sole_question() {
            Ok(question) => {
                question.qname().name_eq(&self.name)
                    && question.qtype() == self.record
                    && question.qclass() == Class::IN
            }
            Err(_) => reply.header_counts().qdcount() == 0 && reply.is_error(),
        };
        asked.then_some(reply)
    }

    fn judge(&self, reply: &Message<&[u8]>) -> Result<(), Trouble> {
        let rcode = reply.header().rcode();
        if !self.expect.rcodes.contains(&rcode) {
            return Err(Trouble::endpoint(Kind::Status, format!("answered {rcode}")));
        }
        if self.expect.answers.is_empty() {
            return Ok(());
        }
        if reply.header().tc() {
            let detail = "the answer is truncated: set `transport = \"tcp\"`";
            return Err(Trouble::endpoint(Kind::Body, detail));
        }
        let malformed = |error| Trouble::endpoint(Kind::Other, format!("malformed reply: {error}"));
        let held = data_of(reply, self.record).map_err(malformed)?;
        let lacks = |answer: &&Answer| {
            canonical(self.record, &answer.rdata).is_none_or(|expected| !held.contains(&expected))
        };
        match self.expect.answers.iter().find(lacks) {
            None => Ok(()),
            Some(answer) => Err(Trouble::endpoint(
                Kind::Body,
                format!("{} is not among the {} answers of type {}", answer.written, held.len(), self.record),
            )),
        }
    }
}

/// The data of the records of a type in the answer section, each in canonical form.
fn data_of(reply: &Message<&[u8]>, record: Rtype) -> Result<Vec<Vec<u8>>, ParseError> {
    let mut held = Vec::new();
    for answer in reply.answer()? {
        let answer = answer?;
        if answer.rtype() == record && answer.class() == Class::IN {
            let answer = answer.into_any_record::<AllRecordData<_, ParsedName<_>>>()?;
            held.push(composed(answer.data()));
        }
    }
    Ok(held)
}

/// Data in uncompressed wire form, so that names in it compare without regard to case (RFC 4034, 6.2).
fn canonical(record: Rtype, rdata: &[u8]) -> Option<Vec<u8>> {
    let mut parser = Parser::from_ref(rdata);
    AllRecordData::<_, ParsedName<_>>::parse_any_rdata(record, &mut parser).ok().map(|data| composed(&data))
}

fn composed(data: &impl ComposeRecordData) -> Vec<u8> {
    let mut octets = Vec::new();
    data.compose_canonical_rdata(&mut octets).expect("a vector grows");
    octets
}

/// What nobody who forges replies can guess.
fn drawn() -> u16 {
    RandomState::new().hash_one("id") as u16
}

/// What fits a packet of any path (DNS flag day 2020).
const PAYLOAD_MAX: u16 = 1232;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::base::iana::Rcode;
    use domain::base::message_builder::AnswerBuilder;
    use domain::rdata::{A, Cname, Mx};
    use tokio::io::AsyncReadExt;
    use tokio::time::timeout;

    use super::super::servers;
    use super::*;
    use crate::spec::master;

    type Reply = AnswerBuilder<Vec<u8>>;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    /// What `transport` carries a query for `www.example.org` over, and what is expected of the reply.
    fn query(transport: Transport, record: Rtype, answers: &[&str]) -> Query {
        let answers = answers.iter().map(|written| Answer {
            written: (*written).into(),
            rdata: master::rdata(record, written).unwrap().into(),
        });
        let expect = ExpectAnswer { rcodes: vec![Rcode::NOERROR], answers: answers.collect() };
        Query::new(&name("www.example.org"), record, transport, false, &expect)
    }

    /// A reply to a query, filled in by `fill`.
    fn reply_to(query: &[u8], rcode: Rcode, fill: impl Fn(&mut Reply)) -> Vec<u8> {
        let query = Message::from_octets(query).unwrap();
        let mut reply = MessageBuilder::new_vec().start_answer(&query, rcode).unwrap();
        fill(&mut reply);
        reply.finish()
    }

    fn addresses(reply: &mut Reply) {
        let www = name("www.example.org");
        reply.push((&www, 30, Cname::new(name("a.example.org")))).unwrap();
        reply.push((name("a.example.org"), 30, A::from_octets(192, 0, 2, 1))).unwrap();
        reply.push((name("a.example.org"), 30, A::from_octets(192, 0, 2, 2))).unwrap();
    }

    /// Over UDP, from a server that replies with these.
    async fn over_udp(
        query: &Query,
        behave: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static,
    ) -> Result<(), (Kind, String)> {
        let to = servers::answering(behave).await;
        told(query.run(servers::permitted(to), &mut Seen::default()).await)
    }

    /// Over TCP, from a server that sends these octets.
    async fn over_tcp(
        query: &Query,
        behave: impl Fn(&[u8]) -> Vec<u8> + Clone + Send + 'static,
    ) -> Result<(), (Kind, String)> {
        let to = servers::serve(move |mut stream| {
            let behave = behave.clone();
            async move {
                let length = stream.read_u16().await.unwrap();
                let mut asked = vec![0; length.into()];
                stream.read_exact(&mut asked).await.unwrap();
                let _ = stream.write_all(&behave(&asked)).await;
            }
        });
        told(query.run(servers::permitted(to.await), &mut Seen::default()).await)
    }

    fn told(ended: Result<(), Trouble>) -> Result<(), (Kind, String)> {
        ended.map_err(|trouble| match trouble {
            Trouble::Endpoint { kind, detail } => (kind, detail.to_string()),
            Trouble::Machine(not_run) => panic!("{not_run:?}"),
        })
    }

    fn framed(message: Vec<u8>) -> Vec<u8> {
        [&(message.len() as u16).to_be_bytes(), &message[..]].concat()
    }

    #[tokio::test]
    async fn a_reply_with_a_good_rcode_passes() {
        let any = query(Transport::Udp, Rtype::A, &[]);
        let empty = |asked: &[u8]| vec![reply_to(asked, Rcode::NOERROR, |_| {})];
        assert_eq!(over_udp(&any, empty).await, Ok(()));
        let refused = |asked: &[u8]| vec![reply_to(asked, Rcode::REFUSED, |_| {})];
        assert_eq!(over_udp(&any, refused).await, Err((Kind::Status, "answered REFUSED".into())));
        let bare = |asked: &[u8]| vec![[&asked[..2], &[0x80, 4], &[0; 8]].concat()];
        assert_eq!(over_udp(&any, bare).await, Err((Kind::Status, "answered NOTIMP".into())));
    }

    #[tokio::test]
    async fn the_query_is_what_the_operator_wrote_with_edns() {
        let mut asking = query(Transport::Udp, Rtype::MX, &[]);
        asking.recursion_desired = true;
        let octets = asking.message(0x1234);
        let read = hickory_proto::op::Message::from_vec(&octets).unwrap();
        assert_eq!((read.metadata.id, read.metadata.recursion_desired), (0x1234, true));
        assert_eq!(read.queries[0].to_string(), "www.example.org. IN MX");
        assert_eq!(read.edns.unwrap().max_payload(), PAYLOAD_MAX);
    }

    #[tokio::test]
    async fn every_answer_that_is_expected_must_be_there() {
        let good = |asked: &[u8]| vec![reply_to(asked, Rcode::NOERROR, addresses)];
        let both = query(Transport::Udp, Rtype::A, &["192.0.2.2", "192.0.2.1"]);
        assert_eq!(over_udp(&both, good).await, Ok(()));
        let other = query(Transport::Udp, Rtype::A, &["192.0.2.1", "192.0.2.3"]);
        let detail = "192.0.2.3 is not among the 2 answers of type A";
        assert_eq!(over_udp(&other, good).await, Err((Kind::Body, detail.into())));
    }

    #[tokio::test]
    async fn names_in_answers_compare_as_names() {
        let mail = |asked: &[u8]| {
            vec![reply_to(asked, Rcode::NOERROR, |reply| {
                reply.push((name("www.example.org"), 30, Mx::new(10, name("MAIL.example.org")))).unwrap();
            })]
        };
        let expecting = query(Transport::Udp, Rtype::MX, &["10 mail.Example.org."]);
        assert_eq!(over_udp(&expecting, mail).await, Ok(()));
    }

    #[tokio::test]
    async fn a_truncated_reply_will_do_unless_answers_are_expected() {
        let truncated = |asked: &[u8]| {
            vec![reply_to(asked, Rcode::NOERROR, |reply| reply.as_builder_mut().header_mut().set_tc(true))]
        };
        assert_eq!(over_udp(&query(Transport::Udp, Rtype::A, &[]), truncated).await, Ok(()));
        let (kind, _) =
            over_udp(&query(Transport::Udp, Rtype::A, &["192.0.2.1"]), truncated).await.unwrap_err();
        assert_eq!(kind, Kind::Body);
    }

    #[tokio::test]
    async fn only_the_reply_to_this_query_counts() {
        let forged = |asked: &[u8]| {
            let good = reply_to(asked, Rcode::NOERROR, |_| {});
            let mut other_id = good.clone();
            other_id[1] ^= 1;
            let mut other_name = good.clone();
            other_name[13] ^= 1;
            let mut other_class = good.clone();
            other_class[32] ^= 3;
            let no_question = [&asked[..2], &[0x80, 0], &[0; 8]].concat();
            vec![asked.to_vec(), other_id, other_name, other_class, no_question, b"\xff".to_vec(), vec![]]
        };
        let any = query(Transport::Udp, Rtype::A, &[]);
        let to = servers::permitted(servers::answering(forged).await);
        let waited = timeout(Duration::from_millis(200), any.run(to, &mut Seen::default())).await;
        assert!(waited.is_err(), "{waited:?}");

        let then_good =
            move |asked: &[u8]| [forged(asked), vec![reply_to(asked, Rcode::NOERROR, |_| {})]].concat();
        assert_eq!(over_udp(&any, then_good).await, Ok(()));
    }

    #[tokio::test]
    async fn a_malformed_answer_section_fails() {
        let cut = |asked: &[u8]| {
            let mut reply = reply_to(asked, Rcode::NOERROR, addresses);
            reply.pop();
            vec![reply]
        };
        let (kind, detail) =
            over_udp(&query(Transport::Udp, Rtype::A, &["192.0.2.1"]), cut).await.unwrap_err();
        assert_eq!(kind, Kind::Other, "{detail}");
    }

    #[tokio::test]
    async fn a_connection_carries_one_query_and_one_reply() {
        let asking = query(Transport::Tcp, Rtype::A, &["192.0.2.2"]);
        let good = |asked: &[u8]| framed(reply_to(asked, Rcode::NOERROR, addresses));
        assert_eq!(over_tcp(&asking, good).await, Ok(()));
        let of_another = |asked: &[u8]| {
            let mut reply = reply_to(asked, Rcode::NOERROR, addresses);
            reply[0] ^= 1;
            framed(reply)
        };
        assert_eq!(over_tcp(&asking, of_another).await, Err((Kind::Other, "no reply to this query".into())));
        let endless = |_: &[u8]| vec![0xff; 1 << 20];
        assert_eq!(over_tcp(&asking, endless).await, Err((Kind::Other, "no reply to this query".into())));
        let cut = |_: &[u8]| vec![0xff, 0xff, 0];
        let (kind, _) = over_tcp(&asking, cut).await.unwrap_err();
        assert_eq!(kind, Kind::Reset);
    }
}
