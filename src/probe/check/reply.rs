//! Reading an HTTP/1.1 reply in bounded memory (RFC 9112).
//!
//! ```text
//!   stream --> unread (at most a head) --> Head { status, framing }
//!                 |
//!                 `--> framing off --> body (at most BODY_MAX), searched as it comes
//! ```
//!
//! It is lenient where a health check need not be strict (a bare line feed, headers of no interest) and
//! gives up early where nothing good can follow. Time is bounded by the deadline of the check around it.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::Trouble;
use crate::health::Kind;

/// A reply that is being read.
#[derive(Debug)]
pub(super) struct Reply<S> {
    stream: S,
    unread: Vec<u8>,
}

/// What counts of a reply's head.
#[derive(Debug, PartialEq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) framing: Framing,
}

/// How the end of a body is told.
#[derive(Debug, PartialEq)]
pub(super) enum Framing {
    /// So many bytes are still to come.
    Length(u64),
    /// In chunks (RFC 9112, 7.1).
    Chunked(Chunk),
    /// When the connection closes.
    UntilClose,
}

/// Where in a chunked body we are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Chunk {
    /// In the line that tells the size; `extension`: behind the number.
    Size { value: u64, extension: bool },
    /// In the data, of which so many bytes are still to come.
    Data(u64),
    /// In the line end after the data.
    DataEnd,
    /// The last chunk is over; trailers are not looked at.
    Over,
}

impl<S: AsyncRead + Unpin> Reply<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, unread: Vec::new() }
    }

    /// Reads up to the end of the first head that is not interim (1xx).
    pub(super) async fn head(&mut self) -> Result<Head, Trouble> {
        loop {
            let end = self.head_end().await?;
            let head = parse_head(&self.unread[..end])?;
            self.unread.drain(..end);
            if head.status >= 200 {
                return Ok(head);
            }
        }
    }

    async fn head_end(&mut self) -> Result<usize, Trouble> {
        let mut searched = 0;
        loop {
            if !could_be_http(&self.unread) {
                return Err(not_http(&self.unread));
            }
            if let Some(end) = blank_line(&self.unread, searched) {
                return Ok(end);
            }
            if self.unread.len() >= HEAD_MAX {
                let detail = format!("a header of more than {HEAD_MAX} bytes");
                return Err(Trouble::endpoint(Kind::Other, detail));
            }
            // A blank line may have begun in what is there already.
            searched = self.unread.len().saturating_sub(2);
            if !self.fill().await? {
                let detail = match self.unread.len() {
                    0 => "connection closed before a reply",
                    _ => "connection closed inside the header",
                };
                return Err(Trouble::endpoint(Kind::Reset, detail));
            }
        }
    }

    /// Reads the body until `text` is found or cannot be found any more within [`BODY_MAX`] bytes.
    pub(super) async fn find(mut self, text: &[u8], mut framing: Framing) -> Result<(), Trouble> {
        let mut body = Vec::new();
        loop {
            // The text may have begun in what was searched already.
            let from = body.len().saturating_sub(text.len());
            framing.take_off(&mut self.unread, &mut body)?;
            body.truncate(BODY_MAX);
            if contains(&body[from..], text) {
                return Ok(());
            }
            if body.len() == BODY_MAX {
                return Err(lacks_text(format!("the first {BODY_MAX} bytes of the body")));
            }
            if framing.is_over() {
                return Err(lacks_text(format!("the {} bytes of the body", body.len())));
            }
            if !self.fill().await? {
                return Err(match framing {
                    Framing::UntilClose => lacks_text(format!("the {} bytes of the body", body.len())),
                    _ => Trouble::endpoint(Kind::Reset, "connection closed inside the body"),
                });
            }
        }
    }

    /// Waits for more; `false`: there is none.
    async fn fill(&mut self) -> io::Result<bool> {
        self.unread.reserve(READ_SIZE);
        match (&mut self.stream).take(READ_SIZE as u64).read_buf(&mut self.unread).await {
            Ok(count) => Ok(count > 0),
            // A TLS peer that closes without saying so (RFC 8446, 6.1); many do.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Framing {
    /// Moves what `raw` holds of the body to `body`.
    fn take_off(&mut self, raw: &mut Vec<u8>, body: &mut Vec<u8>) -> Result<(), Trouble> {
        match self {
            Framing::UntilClose => body.append(raw),
            Framing::Length(left) => {
                *left -= take(raw, *left, body);
                raw.clear();
            }
            Framing::Chunked(chunk) => {
                let mut rest = raw.as_slice();
                while !rest.is_empty() && *chunk != Chunk::Over {
                    rest = chunk.step(rest, body)?;
                }
                raw.clear();
            }
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        matches!(self, Framing::Length(0) | Framing::Chunked(Chunk::Over))
    }
}

impl Chunk {
    const START: Chunk = Chunk::Size { value: 0, extension: false };

    /// Takes all the data there is, or one byte of framing; returns what is left.
    fn step<'a>(&mut self, raw: &'a [u8], body: &mut Vec<u8>) -> Result<&'a [u8], Trouble> {
        if let Chunk::Data(left) = *self {
            let taken = take(raw, left, body);
            *self = if taken == left { Chunk::DataEnd } else { Chunk::Data(left - taken) };
            return Ok(&raw[taken as usize..]);
        }
        *self = self.after(raw[0]).ok_or_else(bad_chunk)?;
        Ok(&raw[1..])
    }

    /// Where one byte of framing leads; `None`: it should not be there.
    fn after(self, byte: u8) -> Option<Chunk> {
        match (self, byte) {
            (Chunk::Size { value: 0, .. }, b'\n') => Some(Chunk::Over),
            (Chunk::Size { value, .. }, b'\n') => Some(Chunk::Data(value)),
            (Chunk::Size { value, extension: true }, _)
            | (Chunk::Size { value, .. }, b'\r' | b';' | b' ') => {
                Some(Chunk::Size { value, extension: true })
            }
            (Chunk::Size { value, .. }, digit) => {
                Some(Chunk::Size { value: with_digit(value, digit)?, extension: false })
            }
            (Chunk::DataEnd, b'\r') => Some(Chunk::DataEnd),
            (Chunk::DataEnd, b'\n') => Some(Chunk::START),
            (Chunk::DataEnd | Chunk::Data(_) | Chunk::Over, _) => None,
        }
    }
}

/// Copies at most `most` bytes; returns how many.
fn take(raw: &[u8], most: u64, body: &mut Vec<u8>) -> u64 {
    let count = raw.len().min(usize::try_from(most).unwrap_or(usize::MAX));
    body.extend_from_slice(&raw[..count]);
    count as u64
}

fn with_digit(value: u64, digit: u8) -> Option<u64> {
    let digit = char::from(digit).to_digit(16)?;
    value.checked_mul(16)?.checked_add(digit.into())
}

/// The end of the head, if it is there: behind the first blank line. The search starts at `from`.
fn blank_line(bytes: &[u8], from: usize) -> Option<usize> {
    let ends_here = |at: usize| match &bytes[at..] {
        [b'\n', b'\n', ..] => Some(at + 2),
        [b'\n', b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    };
    (from..bytes.len()).find_map(ends_here)
}

fn could_be_http(bytes: &[u8]) -> bool {
    let common = bytes.len().min(HTTP.len());
    bytes[..common] == HTTP[..common]
}

fn parse_head(head: &[u8]) -> Result<Head, Trouble> {
    let mut lines = head.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let status = lines.next().and_then(status_of).ok_or_else(|| not_http(head))?;
    let mut framing = Framing::UntilClose;
    for line in lines {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"transfer-encoding") && value.eq_ignore_ascii_case(b"chunked") {
            // Wins over a length, wherever that stands (RFC 9112, 6.3).
            framing = Framing::Chunked(Chunk::START);
        } else if name.eq_ignore_ascii_case(b"content-length") && framing == Framing::UntilClose {
            let length = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
            framing = Framing::Length(length.ok_or_else(|| not_http(line))?);
        }
    }
    if matches!(status, 204 | 304) {
        framing = Framing::Length(0);
    }
    Ok(Head { status, framing })
}

/// Of a line such as `HTTP/1.1 200 OK`.
fn status_of(line: &[u8]) -> Option<u16> {
    let behind_version = line.strip_prefix(HTTP)?.get(1..)?.strip_prefix(b" ")?;
    let (digits, phrase) = behind_version.split_at_checked(3)?;
    let alone = phrase.first().is_none_or(|&byte| byte == b' ');
    if !alone || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let status = digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    (status >= 100).then_some(status)
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    text.is_empty() || bytes.windows(text.len()).any(|window| window == text)
}

fn not_http(bytes: &[u8]) -> Trouble {
    let start = &bytes[..bytes.len().min(QUOTED)];
    Trouble::endpoint(Kind::Other, format!("not HTTP/1.1: \"{}\"", start.escape_ascii()))
}

fn bad_chunk() -> Trouble {
    Trouble::endpoint(Kind::Other, "not HTTP/1.1: a chunk without its size or end")
}

fn lacks_text(place: String) -> Trouble {
    Trouble::endpoint(Kind::Body, format!("the text is not in {place}"))
}

const HTTP: &[u8] = b"HTTP/1.";
/// A longer head fails the check.
const HEAD_MAX: usize = 16 * 1024;
/// The text must be in so many bytes at the start of the body; no more is read.
const BODY_MAX: usize = 64 * 1024;
/// So much is read at a time.
const READ_SIZE: usize = 4 * 1024;
/// So many bytes of what is no HTTP are shown.
const QUOTED: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a reply that comes in the given pieces, then closes; looks for the text.
    async fn judge(pieces: &[&[u8]], text: &str) -> Result<u16, (Kind, String)> {
        let mut mock = Pieces::of(pieces);
        let outcome = async {
            let mut reply = Reply::new(&mut mock);
            let head = reply.head().await?;
            reply.find(text.as_bytes(), head.framing).await?;
            Ok(head.status)
        };
        outcome.await.map_err(|trouble| match trouble {
            Trouble::Endpoint { kind, detail } => (kind, detail.to_string()),
            Trouble::Machine(not_run) => panic!("{not_run:?}"),
        })
    }

    /// The same reply whole and byte by byte must be judged the same.
    async fn judge_both_ways(reply: &[u8], text: &str) -> Result<u16, (Kind, String)> {
        let whole = judge(&[reply], text).await;
        let bytes: Vec<&[u8]> = reply.chunks(1).collect();
        assert_eq!(judge(&bytes, text).await, whole);
        whole
    }

    struct Pieces(std::collections::VecDeque<Vec<u8>>);

    impl Pieces {
        fn of(pieces: &[&[u8]]) -> Self {
            Self(pieces.iter().map(|piece| piece.to_vec()).collect())
        }
    }

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            buffer: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            if let Some(mut piece) = self.0.pop_front() {
                let rest = piece.split_off(piece.len().min(buffer.remaining()));
                buffer.put_slice(&piece);
                if !rest.is_empty() {
                    self.0.push_front(rest);
                }
            }
            std::task::Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_body_is_searched_however_it_is_framed() {
        let replies: [&[u8]; 5] = [
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall is ok",
            b"HTTP/1.1 200 OK\r\n\r\nall is ok",
            b"HTTP/1.0 200\n\nall is ok",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8;x=y\r\nall is o\r\n1\r\nk\r\n0\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nall is ok",
        ];
        for reply in replies {
            assert_eq!(judge_both_ways(reply, "is ok").await, Ok(200), "{}", reply.escape_ascii());
            let (kind, _) = judge_both_ways(reply, "wrong").await.unwrap_err();
            assert_eq!(kind, Kind::Body, "{}", reply.escape_ascii());
        }
    }

    #[tokio::test]
    async fn what_follows_a_body_is_not_part_of_it() {
        let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nall is ok";
        assert_eq!(
            judge_both_ways(reply, "ok").await,
            Err((Kind::Body, "the text is not in the 3 bytes of the body".into()))
        );
        let reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nok";
        assert!(judge_both_ways(reply, "ok").await.is_err());
        let reply = b"HTTP/1.1 204 No Content\r\n\r\nok";
        assert!(judge_both_ways(reply, "ok").await.is_err());
    }

    #[tokio::test]
    async fn a_reply_that_is_cut_is_a_reset() {
        let replies: [(&[u8], &str); 4] = [
            (b"", "connection closed before a reply"),
            (b"HTTP/1.1 200", "connection closed inside the header"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall", "connection closed inside the body"),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nall",
                "connection closed inside the body",
            ),
        ];
        for (reply, detail) in replies {
            assert_eq!(judge_both_ways(reply, "ok").await, Err((Kind::Reset, detail.into())));
        }
    }

    #[tokio::test]
    async fn garbage_is_told_at_its_first_wrong_byte() {
        let (kind, detail) = judge(&[b"SSH-2.0-OpenSSH_9.2\r\n"], "ok").await.unwrap_err();
        assert_eq!((kind, &*detail), (Kind::Other, r#"not HTTP/1.1: "SSH-2.0-OpenSSH_9.2\r\n""#));
        let garbage: [&[u8]; 6] = [
            b"\x15\x03\x01\0\x02\x02F",
            b"HTTP/1.1 2000 OK\r\n\r\n",
            b"HTTP/1.1 099 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        ];
        for reply in garbage {
            // What is quoted depends on how much had come when it was told.
            let bytes: Vec<&[u8]> = reply.chunks(1).collect();
            for pieces in [&[reply], &*bytes] {
                let (kind, detail) = judge(pieces, "ok").await.unwrap_err();
                assert_eq!(kind, Kind::Other, "{detail}");
            }
        }
    }

    #[tokio::test]
    async fn an_endless_header_fails_at_its_bound() {
        let lines = b"X-Filler: and on and on\r\n".repeat(HEAD_MAX);
        let mut mock = Pieces::of(&[b"HTTP/1.1 200 OK\r\n", &lines]);
        let mut reply = Reply::new(&mut mock);
        reply.head().await.unwrap_err();
        assert!(reply.unread.capacity() < 3 * HEAD_MAX);
    }

    #[tokio::test]
    async fn no_more_of_a_body_is_read_than_counts() {
        let gigabyte = b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n";
        let filler = b"x".repeat(4 * BODY_MAX);
        let mut mock = Pieces::of(&[gigabyte, &filler, b"ok"]);
        let mut reply = Reply::new(&mut mock);
        let head = reply.head().await.unwrap();
        assert!(reply.find(b"ok", head.framing).await.is_err());
        let left: usize = mock.0.iter().map(Vec::len).sum();
        assert!(left >= 3 * BODY_MAX - READ_SIZE, "{left} bytes were left unread");
    }

    #[tokio::test]
    async fn nothing_is_read_once_the_text_is_found() {
        let mut mock = Pieces::of(&[b"HTTP/1.1 200 OK\r\n\r\no", b"k", b"never read"]);
        let mut reply = Reply::new(&mut mock);
        let head = reply.head().await.unwrap();
        reply.find(b"ok", head.framing).await.unwrap();
        assert_eq!(mock.0, [b"never read"]);
    }
}
