//! The words of a master file (RFC 1035 section 5.1), one entry at a time.
//!
//! ```text
//!   www 300 IN TXT ( "a \"b\"" ; why      an entry goes on to the end of its line, or of its
//!                    c\032d )             parentheses; here it has the words
//!                                         www  300  IN  TXT  a \"b\"  c\032d
//! ```
//!
//! Words borrow from the text and keep their escapes: only who reads a word knows what an octet of it
//! means (`\.` is a dot inside a label, `\,` a comma inside a SVCB value).

use std::ops::Range;

/// What is wrong with a piece of the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// A short stable word for machines.
    pub code: &'static str,
    /// Where.
    pub span: Range<usize>,
    /// One sentence, without a full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault without a hint.
    pub fn new(code: &'static str, span: Range<usize>, message: impl Into<String>) -> Self {
        Self { code, span, message: message.into(), hint: None }
    }

    /// Says what to do about it.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Says what to do about it, if nothing better was said.
    pub fn or_hint(self, hint: impl FnOnce() -> String) -> Self {
        Self { hint: self.hint.or_else(|| Some(hint())), ..self }
    }
}

/// One word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'t> {
    /// As it was written: with its escapes, without the quotes around it.
    pub raw: &'t str,
    /// Whether it stood in quotes: `"@"` is not `@`.
    pub quoted: bool,
    start: usize,
}

impl<'t> Token<'t> {
    /// A bare word that stands alone.
    pub fn alone(raw: &'t str) -> Self {
        Self { raw, quoted: false, start: 0 }
    }

    /// Where it stands, quotes and all.
    pub fn span(&self) -> Range<usize> {
        let quote = usize::from(self.quoted);
        self.start - quote..self.start + self.raw.len() + quote
    }

    /// Whether it is this bare word, in any case.
    pub fn is(&self, word: &str) -> bool {
        !self.quoted && self.raw.eq_ignore_ascii_case(word)
    }

    /// A fault of this word: `` `word` `` and what is said of it.
    pub fn fault(&self, code: &'static str, of_it: &str) -> Fault {
        let shown: String = self.raw.chars().take(SHOWN_MAX).collect();
        let more = if shown.len() < self.raw.len() { "..." } else { "" };
        Fault::new(code, self.span(), format!("`{shown}{more}` {of_it}"))
    }

    /// A piece of it, for words that are made of parts. The range counts octets of `raw`.
    pub fn part(&self, range: Range<usize>) -> Token<'t> {
        Token { raw: &self.raw[range.clone()], quoted: false, start: self.start + range.start }
    }

    /// Its octets, escapes undone.
    pub fn octets(&self) -> Octets<'t> {
        Octets { bytes: self.raw.as_bytes(), at: 0, start: self.start }
    }

    /// Appends its octets, escapes undone.
    pub fn unescape(&self, out: &mut Vec<u8>) -> Result<(), Fault> {
        if !self.raw.contains('\\') {
            out.extend_from_slice(self.raw.as_bytes());
            return Ok(());
        }
        for octet in self.octets() {
            out.push(octet?.value);
        }
        Ok(())
    }
}

/// One octet of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Octet {
    /// The octet that is meant.
    pub value: u8,
    /// Written as `\X` or `\DDD`, so that it stands for itself only.
    pub escaped: bool,
}

/// The octets of a word, escapes undone.
#[derive(Clone, Debug)]
pub struct Octets<'t> {
    bytes: &'t [u8],
    at: usize,
    start: usize,
}

impl Octets<'_> {
    fn escape(&mut self) -> Result<u8, Fault> {
        let rest = &self.bytes[self.at..];
        let bad = |length: usize, message: &str| {
            let start = self.start + self.at;
            Fault::new("escape", start..start + length, message)
                .hint("an escape is `\\` and a character, or `\\` and three digits from 000 to 255")
        };
        match rest {
            [_, a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', ..] => {
                let value = [a, b, c].iter().fold(0u16, |sum, &&digit| sum * 10 + u16::from(digit - b'0'));
                let value = u8::try_from(value).map_err(|_| bad(4, "an escaped octet is above 255"))?;
                self.at += 4;
                Ok(value)
            }
            [_, b'0'..=b'9', ..] => Err(bad(2, "an escaped number needs three digits")),
            [_, value, ..] => {
                self.at += 2;
                Ok(*value)
            }
            _ => Err(bad(1, "a backslash ends the word")),
        }
    }
}

impl Iterator for Octets<'_> {
    type Item = Result<Octet, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let value = *self.bytes.get(self.at)?;
        if value != b'\\' {
            self.at += 1;
            return Some(Ok(Octet { value, escaped: false }));
        }
        let octet = self.escape().map(|value| Octet { value, escaped: true });
        if octet.is_err() {
            self.at = self.bytes.len();
        }
        Some(octet)
    }
}

/// The start of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where its line starts.
    pub start: usize,
    /// Its line, from 1.
    pub line: u32,
    /// It starts with a blank: its owner is the last one.
    pub indented: bool,
}

/// The words of a text.
#[derive(Clone, Debug)]
pub struct Tokens<'t> {
    text: &'t str,
    at: usize,
    line: u32,
    /// How many parentheses are open.
    depth: u32,
    /// Where the outermost of them is.
    opened: usize,
    /// The word that was read last.
    last: Range<usize>,
    /// A word that was given back.
    back: Option<Token<'t>>,
}

impl<'t> Tokens<'t> {
    /// The words of a text; a byte order mark before them is no part of it.
    pub fn new(text: &'t str) -> Self {
        let at = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len_utf8() } else { 0 };
        Self { text, at, line: 1, depth: 0, opened: 0, last: at..at, back: None }
    }

    /// Goes to the next entry that is not empty. The one before must be at its end.
    pub fn entry(&mut self) -> Option<Entry> {
        let bytes = self.text.as_bytes();
        loop {
            let start = self.at;
            while bytes.get(self.at).is_some_and(|&byte| is_blank(byte)) {
                self.at += 1;
            }
            match bytes.get(self.at)? {
                b'\n' => {
                    self.at += 1;
                    self.line += 1;
                }
                b';' => self.comment(),
                _ => return Some(Entry { start, line: self.line, indented: self.at > start }),
            }
        }
    }

    /// The next word of the entry; `None` at its end.
    pub fn next(&mut self) -> Result<Option<Token<'t>>, Fault> {
        self.read(false)
    }

    /// As [`Tokens::next`], but a quoted part after `=` belongs to the word: `alpn="h2,h3"` (RFC 9460).
    pub fn next_pair(&mut self) -> Result<Option<Token<'t>>, Fault> {
        self.read(true)
    }

    /// Gives a word back: it is the next one again.
    pub fn unread(&mut self, token: Token<'t>) {
        self.back = Some(token);
    }

    /// The next word, which must be there: `what` it is, for the message.
    pub fn expect(&mut self, what: &str) -> Result<Token<'t>, Fault> {
        self.next()?.ok_or_else(|| {
            Fault::new("missing", self.last.clone(), format!("the {what} is missing after this"))
        })
    }

    /// Checks that the entry has no more words.
    pub fn end(&mut self) -> Result<(), Fault> {
        match self.next()? {
            None => Ok(()),
            Some(extra) => Err(extra.fault("trailing", "is more than belongs here")),
        }
    }

    /// Goes to the end of the entry, whatever is in it. The fault, if its parentheses are never closed.
    pub fn skip(&mut self) -> Option<Fault> {
        self.back = None;
        loop {
            match self.next() {
                Ok(None) => return None,
                Ok(Some(_)) => {}
                Err(fault) if fault.code == UNCLOSED => return Some(fault),
                Err(_) => {}
            }
        }
    }

    fn read(&mut self, pair: bool) -> Result<Option<Token<'t>>, Fault> {
        if let Some(token) = self.back.take() {
            return Ok(Some(token));
        }
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at) {
                None if self.depth > 0 => return Err(self.unclosed()),
                None => return Ok(None),
                Some(b'\n') if self.depth == 0 => return Ok(None),
                Some(b'\n') => {
                    self.at += 1;
                    self.line += 1;
                }
                Some(b';') => self.comment(),
                Some(b'(') => self.open(),
                Some(b')') => self.close()?,
                Some(b'"') => return self.quoted().map(Some),
                Some(&byte) if is_blank(byte) => self.at += 1,
                Some(_) => return self.word(pair).map(Some),
            }
        }
    }

    fn word(&mut self, pair: bool) -> Result<Token<'t>, Fault> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        while let Some(&byte) = bytes.get(self.at).filter(|&&byte| !ENDS_WORD[usize::from(byte)]) {
            self.at += 1;
            if byte == b'\\' {
                self.escaped();
            } else if pair && byte == b'=' && bytes.get(self.at) == Some(&b'"') {
                self.quoted()?;
                break;
            }
        }
        Ok(self.token(start, self.at, false))
    }

    fn quoted(&mut self) -> Result<Token<'t>, Fault> {
        let bytes = self.text.as_bytes();
        let opened = self.at;
        self.at += 1;
        loop {
            match bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(self.token(opened + 1, self.at - 1, true));
                }
                None | Some(b'\n') => {
                    return Err(Fault::new("quote", opened..self.at, "a quote is not closed on its line")
                        .hint("write `\\\"` for a quote inside quotes, `\\010` for a line break"));
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escaped();
                }
                Some(_) => self.at += 1,
            }
        }
    }

    fn token(&mut self, start: usize, end: usize, quoted: bool) -> Token<'t> {
        let token = Token { raw: &self.text[start..end], quoted, start };
        self.last = token.span();
        token
    }

    /// Steps over the character after a backslash; a line still ends where it ends.
    fn escaped(&mut self) {
        let escaped = self.text[self.at..].chars().next().filter(|&character| character != '\n');
        self.at += escaped.map_or(0, char::len_utf8);
    }

    fn comment(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
    }

    fn open(&mut self) {
        if self.depth == 0 {
            self.opened = self.at;
        }
        self.depth += 1;
        self.at += 1;
    }

    fn close(&mut self) -> Result<(), Fault> {
        self.at += 1;
        if self.depth == 0 {
            let span = self.at - 1..self.at;
            return Err(Fault::new("parenthesis", span, "a parenthesis is closed that was not opened"));
        }
        self.depth -= 1;
        Ok(())
    }

    /// Said once: the depth is forgotten, so that the text has an end.
    fn unclosed(&mut self) -> Fault {
        self.depth = 0;
        Fault::new(UNCLOSED, self.opened..self.opened + 1, "a parenthesis is opened and never closed")
            .hint("everything after it was read as one entry; close it with `)`")
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

/// The code of the fault that is worse than any other in its entry: it explains them.
pub const UNCLOSED: &str = "unclosed-parenthesis";
/// Characters of a word that a message shows; of more than that it shows the start.
const SHOWN_MAX: usize = 60;
const BYTE_ORDER_MARK: char = '\u{feff}';

/// What a bare word ends before.
const ENDS_WORD: [bool; 256] = {
    let mut ends = [false; 256];
    let stops = b" \t\r\n\";()";
    let mut index = 0;
    while index < stops.len() {
        ends[stops[index] as usize] = true;
        index += 1;
    }
    ends
};

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<(String, bool)> {
        let mut tokens = Tokens::new(text);
        let mut words = Vec::new();
        while tokens.entry().is_some() {
            while let Some(token) = tokens.next().expect("the text is in order") {
                words.push((token.raw.to_string(), token.quoted));
            }
        }
        words
    }

    fn bare(text: &str) -> Vec<String> {
        words(text).into_iter().map(|(word, _)| word).collect()
    }

    fn fault(text: &str) -> Fault {
        let mut tokens = Tokens::new(text);
        tokens.entry();
        loop {
            match tokens.next() {
                Err(fault) => return fault,
                Ok(token) => assert!(token.is_some(), "no fault in {text:?}"),
            }
        }
    }

    #[test]
    fn blanks_comments_and_parentheses_part_words() {
        assert_eq!(bare("a\tb ;c\r\n(d\n;e\n f)g"), ["a", "b", "d", "f", "g"]);
    }

    #[test]
    fn quotes_keep_blanks_semicolons_and_parentheses() {
        assert_eq!(
            words(r#"a "b ;(\"c" d"#),
            [("a".into(), false), (r#"b ;(\"c"#.into(), true), ("d".into(), false)]
        );
    }

    #[test]
    fn escapes_keep_what_would_end_a_word() {
        assert_eq!(bare(r"a\ b\;c\(d \"), [r"a\ b\;c\(d", r"\"]);
    }

    #[test]
    fn a_quote_ends_a_word_unless_it_is_the_value_of_a_pair() {
        assert_eq!(bare(r#"a="b c""#), ["a=", "b c"]);
        let mut tokens = Tokens::new(r#"a="b c"d"#);
        assert_eq!(tokens.next_pair().unwrap().unwrap().raw, r#"a="b c""#);
        assert_eq!(tokens.next_pair().unwrap().unwrap().raw, "d");
    }

    #[test]
    fn an_entry_knows_its_line_and_whether_it_is_indented() {
        let mut tokens = Tokens::new("; c\n\na (\n\n)\n  b\n");
        assert_eq!(tokens.entry(), Some(Entry { start: 5, line: 3, indented: false }));
        assert_eq!(tokens.skip(), None);
        assert_eq!(tokens.entry(), Some(Entry { start: 12, line: 6, indented: true }));
        assert_eq!(tokens.skip(), None);
        assert_eq!(tokens.entry(), None);
    }

    #[test]
    fn an_unclosed_parenthesis_is_shown_where_it_was_opened() {
        let fault = fault("a (b (c)\nd e\n");
        assert_eq!((fault.code, fault.span), (UNCLOSED, 2..3));
    }

    #[test]
    fn a_parenthesis_that_was_not_opened_is_shown() {
        assert_eq!(fault("a b) c").span, 3..4);
    }

    #[test]
    fn an_unclosed_quote_ends_with_its_line() {
        assert_eq!(fault("a \"b c\nd").span, 2..6);
    }

    #[test]
    fn octets_are_unescaped() {
        let mut out = Vec::new();
        let text = r"a\.\065\255";
        Tokens::new(text).next().unwrap().unwrap().unescape(&mut out).unwrap();
        assert_eq!(out, b"a.A\xff");
    }

    #[test]
    fn bad_escapes_are_shown_where_they_are() {
        for (text, span) in [(r"ab\256", 2..6), (r"a\1b", 1..3), (r"abc\", 3..4)] {
            let token = Tokens::new(text).next().unwrap().unwrap();
            assert_eq!(token.unescape(&mut Vec::new()).unwrap_err().span, span, "{text}");
        }
    }
}
