//! `$GENERATE`, as BIND has it: many records from one line.
//!
//! ```text
//!   $GENERATE 1-3 host$ A 192.0.2.$          host1 A 192.0.2.1
//!             range  template                host2 A 192.0.2.2
//!                                            host3 A 192.0.2.3
//! ```
//!
//! In a template `$` is the number, `${offset,width,base}` the number plus `offset` in a base (`d` decimal,
//! `o` octal, `x` `X` hexadecimal, `n` `N` nibbles from the lowest, with dots) with zeros up to `width`,
//! `$$` a dollar sign, and `\$` is left to the one who reads the record.

use std::fmt::Write;
use std::iter::StepBy;
use std::ops::Range;

use crate::spec::master::token::{Fault, Token, Tokens};
use crate::spec::master::types;

/// A range and what is made for each number in it.
#[derive(Debug)]
pub struct Generate {
    numbers: StepBy<Range<u32>>,
    template: Vec<Piece>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Number { offset: i64, width: usize, base: Base },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Base {
    Decimal,
    Octal,
    Hex,
    UpperHex,
    Nibbles,
    UpperNibbles,
}

impl Generate {
    /// Reads what stands after the directive.
    pub fn read(tokens: &mut Tokens<'_>) -> Result<Self, Fault> {
        let range = tokens.expect("range")?;
        let numbers = numbers(&range)?;
        let owner = tokens.expect("owner")?;
        let mut words = Vec::new();
        while let Some(word) = tokens.next_pair()? {
            words.push(word);
        }
        let end = words.last().unwrap_or(&owner).span().end;
        let template = pieces(&template(&owner, &words))
            .map_err(|why| Fault::new("generate", owner.span().start..end, why).hint(USAGE))?;
        Ok(Self { numbers, template })
    }

    /// How many records it makes.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The records, each as a line of a master file.
    pub fn lines(self) -> impl Iterator<Item = Result<String, String>> {
        let Self { numbers, template } = self;
        numbers.map(move |number| {
            let mut line = String::new();
            for piece in &template {
                match piece {
                    Piece::Text(text) => line.push_str(text),
                    Piece::Number { offset, width, base } => {
                        let value = u32::try_from(i64::from(number) + offset)
                            .map_err(|_| format!("{number} and the offset {offset} make no number"))?;
                        write_number(value, *width, *base, &mut line);
                    }
                }
            }
            Ok(line)
        })
    }
}

/// The words as one line. Data that is one word in quotes stands without them in the records, as BIND has it:
/// `MX "10 mx$"`.
fn template(owner: &Token<'_>, words: &[Token<'_>]) -> String {
    let is_type = |word: &Token<'_>| !word.quoted && types::number(word.raw).is_some();
    let data = words.iter().position(is_type).map_or(words.len(), |at| at + 1);
    let data_is_one_word = data + 1 == words.len();
    let mut line = owner.raw.to_string();
    for (index, word) in words.iter().enumerate() {
        line.push(' ');
        match word.quoted {
            true if data_is_one_word && index == data => line.push_str(&word.raw.replace("\\\"", "\"")),
            true => line.extend(["\"", word.raw, "\""]),
            false => line.push_str(word.raw),
        }
    }
    line
}

/// `START-STOP` or `START-STOP/STEP`.
fn numbers(token: &Token<'_>) -> Result<StepBy<Range<u32>>, Fault> {
    let (range, step) = token.raw.split_once('/').unwrap_or((token.raw, "1"));
    let numbers = range.split_once('-').and_then(|(start, stop)| {
        let (start, stop, step): (u32, u32, u32) = (digits(start)?, digits(stop)?, digits(step)?);
        (start <= stop && stop <= NUMBER_MAX && step > 0).then(|| (start..stop + 1).step_by(step as usize))
    });
    let numbers = numbers.ok_or_else(|| token.fault("generate", "is not a range").hint(USAGE))?;
    if numbers.len() > GENERATE_MAX {
        let what = format!("makes {} records, more than {GENERATE_MAX}", numbers.len());
        return Err(token.fault("generate", &what).hint("split it into several directives"));
    }
    Ok(numbers)
}

fn digits(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Takes a template apart.
fn pieces(mut rest: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    while let Some(at) = rest.find(['$', '\\']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('\\') {
            let length = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
            text.push_str(&rest[..length]);
            rest = &rest[length..];
        } else if let Some(after) = rest.strip_prefix("$$") {
            text.push('$');
            rest = after;
        } else {
            pieces.push(Piece::Text(std::mem::take(&mut text)));
            let (modifier, after) = match rest.strip_prefix("${") {
                Some(inside) => inside.split_once('}').ok_or("a `{` in the template is not closed")?,
                None => ("0", &rest[1..]),
            };
            pieces.push(modified(modifier).ok_or_else(|| format!("`{{{modifier}}}` is no modifier"))?);
            rest = after;
        }
    }
    text.push_str(rest);
    pieces.push(Piece::Text(text));
    Ok(pieces)
}

/// `offset[,width[,base]]`
fn modified(modifier: &str) -> Option<Piece> {
    let mut parts = modifier.split(',');
    let offset: i64 = parts.next()?.parse().ok()?;
    let width = parts.next().map_or(Some(0), digits)? as usize;
    let base = match parts.next() {
        None | Some("d") => Base::Decimal,
        Some("o") => Base::Octal,
        Some("x") => Base::Hex,
        Some("X") => Base::UpperHex,
        Some("n") => Base::Nibbles,
        Some("N") => Base::UpperNibbles,
        Some(_) => return None,
    };
    let bounded = offset.unsigned_abs() <= NUMBER_MAX.into() && width <= WIDTH_MAX;
    (bounded && parts.next().is_none()).then_some(Piece::Number { offset, width, base })
}

fn write_number(value: u32, width: usize, base: Base, out: &mut String) {
    let written = match base {
        Base::Decimal => write!(out, "{value:0width$}"),
        Base::Octal => write!(out, "{value:0width$o}"),
        Base::Hex => write!(out, "{value:0width$x}"),
        Base::UpperHex => write!(out, "{value:0width$X}"),
        Base::Nibbles => write!(out, "{}", nibbles(value, width)),
        Base::UpperNibbles => write!(out, "{}", nibbles(value, width).to_uppercase()),
    };
    written.expect("a string can always grow");
}

/// Lowest first, with dots; the dots count for the width, and an even width ends in one, as BIND has it.
fn nibbles(mut value: u32, width: usize) -> String {
    let mut text = String::new();
    loop {
        text.extend(char::from_digit(value & 15, 16));
        value >>= 4;
        if value == 0 && text.len() >= width {
            return text;
        }
        text.push('.');
        if value == 0 && text.len() >= width {
            return text;
        }
    }
}

const USAGE: &str = "as in `$GENERATE 1-254 host$ A 192.0.2.$` or `$GENERATE 0-62/2 ${1,3,d} PTR host-$`";
/// One directive makes at most so many records: a /16 of them. More is an error.
const GENERATE_MAX: usize = 65_536;
/// All directives of a zone together make at most so many records: more is an error.
pub const GENERATED_MAX: usize = 2_000_000;
/// A number and an offset are at most this, so that their sum is a number too.
const NUMBER_MAX: u32 = i32::MAX as u32;
/// A number is filled up with zeros to at most this: more does not fit a name.
const WIDTH_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        let generate = Generate::read(&mut Tokens::new(text)).expect("the directive is in order");
        generate.lines().collect::<Result<_, _>>().expect("numbers are in range")
    }

    fn fault(text: &str) -> Fault {
        Generate::read(&mut Tokens::new(text)).expect_err("the directive is not in order")
    }

    #[test]
    fn a_dollar_is_the_number() {
        assert_eq!(lines("1-2 h$ 60 A 192.0.2.$ ; c"), ["h1 60 A 192.0.2.1", "h2 60 A 192.0.2.2"]);
        assert_eq!(lines("0-4/2 $ PTR a"), ["0 PTR a", "2 PTR a", "4 PTR a"]);
    }

    #[test]
    fn modifiers_offset_pad_and_choose_the_base() {
        assert_eq!(lines("10-10 a${-1,4} A ${5}"), ["a0009 A 15"]);
        assert_eq!(lines("171-171 a${0,4,x}-${0,4,X}-${0,4,o} A ${0,0,d}"), ["a00ab-00AB-0253 A 171"]);
        assert_eq!(lines("171-171 ${0,3,n} A ${0,8,N}"), ["b.a A B.A.0.0."]);
    }

    #[test]
    fn dollars_may_be_meant() {
        assert_eq!(lines(r"1-1 a$$ TXT \$$"), [r"a$ TXT \$1"]);
    }

    #[test]
    fn quotes_around_all_data_are_left_out() {
        assert_eq!(lines(r#"1-1 a$ MX "10 mx$""#), ["a1 MX 10 mx1"]);
        assert_eq!(lines(r#"1-1 a$ 60 IN TXT "\"b $\"""#), [r#"a1 60 IN TXT "b 1""#]);
        assert_eq!(lines(r#"1-1 a$ CAA 0 issue "b $""#), [r#"a1 CAA 0 issue "b 1""#]);
        assert_eq!(lines(r#"1-1 a$ HTTPS 1 . alpn="h$,h2""#), [r#"a1 HTTPS 1 . alpn="h1,h2""#]);
    }

    #[test]
    fn what_is_no_range_or_modifier_is_a_fault() {
        for text in [
            "",
            "1",
            "2-1 a",
            "1-2/0 a",
            "1-+2 a",
            "1-2 a${",
            "1-2 a${x}",
            "1-2 a${}",
            "1-2 ${0,1,q}",
            "0-2147483648 a",
        ] {
            fault(text);
        }
        assert!(fault("0-65536 a$ A 192.0.2.1").message.contains("65537 records"));
    }

    #[test]
    fn a_number_below_zero_is_a_fault() {
        let generate = Generate::read(&mut Tokens::new("0-1 a${-1} A b")).expect("the directive is in order");
        let lines: Vec<_> = generate.lines().collect();
        assert!(lines[0].is_err());
        assert!(lines[1].is_ok());
    }
}
