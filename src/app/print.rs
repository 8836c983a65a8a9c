//! What commands say on standard output.
//!
//! Whoever reads it may stop: `windrose status | head -1`. That is no failure of the command. What it was asked to do
//! it does to the end, without a word and with the exit status that it would have had; one that only tells what
//! happens, for ever, ends.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use crate::app::Failure;

/// Whether anybody reads on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// As far as one can tell.
    There,
    /// There is nobody to whom anything more could be said.
    Gone,
}

/// Prints a text as it is.
pub(super) fn print(text: impl Display) -> Result<Reader, Failure> {
    let mut out = io::stdout().lock();
    reader(write!(out, "{text}").and_then(|()| out.flush()))
}

/// Prints a text and ends the line.
pub(super) fn print_line(text: impl Display) -> Result<Reader, Failure> {
    print(format_args!("{text}\n"))
}

/// What it means how writing to standard output ended.
pub(super) fn reader(written: io::Result<()>) -> Result<Reader, Failure> {
    match written {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(Failure::Failed(format!("standard output: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_is_gone_is_no_failure_and_a_full_disk_is_one() {
        assert!(matches!(reader(Ok(())), Ok(Reader::There)));
        assert!(matches!(reader(Err(ErrorKind::BrokenPipe.into())), Ok(Reader::Gone)));
        let full = reader(Err(ErrorKind::StorageFull.into()));
        assert!(matches!(full, Err(Failure::Failed(why)) if why.starts_with("standard output: ")));
    }
}
