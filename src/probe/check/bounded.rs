//! A stream that stops being read after so many bytes, whatever they are.
//!
//! HTTP has places without an end of their own: interim replies (RFC 9110, 15.2), chunks of one byte, the
//! extensions of a chunk. An endpoint that stays there is read no further than this, at any speed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Reads at most so much of a stream; a read beyond that is an error. Writes pass.
#[derive(Debug)]
pub(super) struct Bounded<S> {
    stream: S,
    max: usize,
    left: usize,
}

impl<S> Bounded<S> {
    pub(super) fn new(stream: S, max: usize) -> Self {
        Self { stream, max, left: max }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            let reason = format!("more than {} bytes were sent", self.max);
            return Poll::Ready(Err(io::Error::other(reason)));
        }
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, into))?;
        // A buffer that is larger than what is left: a little more is read, once.
        self.left = self.left.saturating_sub(into.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn what_is_beyond_the_bound_is_not_read() {
        let mut piece = [0; 4];
        let mut stream = Bounded::new(&b"0123456789"[..], 8);
        assert_eq!(stream.read(&mut piece).await.unwrap(), 4);
        assert_eq!(stream.read(&mut piece).await.unwrap(), 4);
        let error = stream.read(&mut piece).await.unwrap_err();
        assert_eq!(error.to_string(), "more than 8 bytes were sent");
    }

    #[tokio::test]
    async fn an_end_before_the_bound_is_an_end() {
        let mut all = Vec::new();
        Bounded::new(&b"0123456789"[..], 11).read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"0123456789");
    }
}
