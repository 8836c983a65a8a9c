//! A file as it was read, and where its lines begin.
//!
//! Whoever points into a file knows a byte; people want a line. A file of 5 MB can be wrong a hundred thousand
//! times, so its lines are counted once, when the first place in it is asked for.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// A file as it was read: a name for messages and its text.
#[derive(Clone, Debug)]
pub struct Source {
    /// As people should see it.
    pub file: Arc<str>,
    /// All of it.
    pub text: Arc<str>,
    /// Where each line begins. All clones share it.
    lines: Arc<OnceLock<Box<[usize]>>>,
}

impl Source {
    /// A file by its name and text.
    pub fn new(file: &str, text: &str) -> Self {
        Self { file: file.into(), text: text.into(), lines: Arc::default() }
    }

    /// The number, from 1, of the line that a byte is in. What is beyond the end is in the last line.
    pub fn line_of(&self, at: usize) -> usize {
        self.lines().partition_point(|&start| start <= at)
    }

    /// The bytes of a line, without its line feed, by its number, from 1; empty if there is none.
    pub fn line(&self, number: usize) -> Range<usize> {
        let lines = self.lines();
        let Some(&start) = number.checked_sub(1).and_then(|index| lines.get(index)) else { return 0..0 };
        start..lines.get(number).map_or(self.text.len(), |next| next - 1)
    }

    fn lines(&self) -> &[usize] {
        self.lines.get_or_init(|| {
            let feeds = self.text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n');
            std::iter::once(0).chain(feeds.map(|(at, _)| at + 1)).collect()
        })
    }
}

/// What was found out about it already makes no difference.
impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        self.file == other.file && self.text == other.text
    }
}

impl Eq for Source {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_in_a_line() {
        let source = Source::new("a", "ab\n\nc");
        let lines: Vec<usize> = (0..6).map(|at| source.line_of(at)).collect();
        assert_eq!(lines, [1, 1, 1, 2, 3, 3]);
        assert_eq!(source.line_of(usize::MAX), 3);
        assert_eq!(Source::new("a", "").line_of(0), 1);
    }

    #[test]
    fn a_line_ends_before_its_line_feed() {
        let source = Source::new("a", "ab\n\nc\n");
        let lines: Vec<&str> = (1..=4).map(|number| &source.text[source.line(number)]).collect();
        assert_eq!(lines, ["ab", "", "c", ""]);
        assert_eq!((source.line(0), source.line(5)), (0..0, 0..0));
    }

    #[test]
    fn lines_that_were_counted_make_no_difference() {
        let (one, other) = (Source::new("a", "b"), Source::new("a", "b"));
        one.line_of(0);
        assert_eq!(one, other);
    }
}
