//! The keys that messages are signed with (RFC 8945), as BIND's tools write them down:
//!
//! ```text
//!   key "ns2" {
//!       algorithm hmac-sha256;
//!       secret "l4zkZ1+9tb9pdLyqZ6DMKGyRPQMxNz6FBZLpQPk8ijA=";
//!   };
//! ```
//!
//! So one file serves `nsupdate -k`, `dig -k`, a secondary's configuration, and us.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use domain::base::ToName;
use domain::tsig::{Algorithm, Key, KeyName, KeyStore};
use domain::utils::base64;

/// Keys, by their names and algorithms.
#[derive(Clone, Default)]
pub struct Keys(HashMap<(KeyName, Algorithm), Arc<Key>>);

/// Why a file of keys cannot be used. Never says what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

impl Keys {
    /// Reads a file of keys.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        let mut words = Words { rest: text, line: 1 };
        let mut keys = Self::default();
        while let Some(word) = words.next()? {
            if word != "key" {
                return Err(words.wrong("expected `key \"NAME\" { ... };`"));
            }
            let key = words.key()?;
            let place = (key.name().clone(), key.algorithm());
            if keys.named(key.name()).is_some() {
                return Err(words.wrong("a second key of this name"));
            }
            keys.0.insert(place, Arc::new(key));
        }
        Ok(keys)
    }

    /// The one of this name.
    pub fn named(&self, name: &impl ToName) -> Option<&Arc<Key>> {
        self.0.values().find(|key| key.name().name_eq(name))
    }
}

impl KeyStore for Keys {
    type Key = Arc<Key>;

    fn get_key<N: ToName>(&self, name: &N, algorithm: Algorithm) -> Option<Arc<Key>> {
        self.0.get_key(name, algorithm)
    }
}

/// Names only: never secrets.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys().map(|(name, _)| name.to_string())).finish()
    }
}

impl fmt::Display for KeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// The words of such a file: punctuation by itself, comments and quotation marks left out.
struct Words<'t> {
    rest: &'t str,
    line: usize,
}

impl<'t> Words<'t> {
    fn key(&mut self) -> Result<Key, KeysError> {
        let name = self.word("the name of a key")?;
        let name = KeyName::from_str(name).map_err(|_| self.wrong("this is no name of a key"))?;
        self.expect("{")?;
        let (mut algorithm, mut secret) = (None, None);
        loop {
            match self.word("`algorithm`, `secret` or `}`")? {
                "}" => break,
                "algorithm" => {
                    let word = self.word("an algorithm")?;
                    let known = ALGORITHMS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word));
                    let (_, known) = known.ok_or_else(|| {
                        self.wrong("the algorithms are hmac-sha256, hmac-sha384 and hmac-sha512")
                    })?;
                    algorithm = Some(*known);
                }
                "secret" => {
                    let word = self.word("a secret")?;
                    let octets: Vec<u8> =
                        base64::decode(word).map_err(|_| self.wrong("the secret is no base64"))?;
                    if octets.len() < SECRET_MIN {
                        return Err(self.wrong("a secret of less than 128 bits can be guessed"));
                    }
                    secret = Some(octets);
                }
                _ => return Err(self.wrong("a key has an `algorithm` and a `secret`")),
            }
            self.expect(";")?;
        }
        self.expect(";")?;
        let algorithm = algorithm.ok_or_else(|| self.wrong("the key has no algorithm"))?;
        let secret = secret.ok_or_else(|| self.wrong("the key has no secret"))?;
        Key::new(algorithm, &secret, name, None, None).map_err(|_| self.wrong("this key cannot be used"))
    }

    fn expect(&mut self, mark: &str) -> Result<(), KeysError> {
        let found = self.next()?;
        if found == Some(mark) { Ok(()) } else { Err(self.wrong(&format!("expected `{mark}`"))) }
    }

    fn word(&mut self, what: &str) -> Result<&'t str, KeysError> {
        self.next()?.ok_or_else(|| self.wrong(&format!("the file ends where {what} should be")))
    }

    fn next(&mut self) -> Result<Option<&'t str>, KeysError> {
        self.skip_space()?;
        let mut octets = self.rest.char_indices();
        let Some((_, first)) = octets.next() else { return Ok(None) };
        if first == '"' {
            let inside = &self.rest[1..];
            let end = inside.find(['"', '\n']).filter(|&at| inside[at..].starts_with('"'));
            let end = end.ok_or_else(|| self.wrong("a quotation mark is not closed"))?;
            self.rest = &inside[end + 1..];
            return Ok(Some(&inside[..end]));
        }
        let end = match first {
            '{' | '}' | ';' => 1,
            _ => {
                self.rest.find(|c: char| c.is_whitespace() || "{};\"".contains(c)).unwrap_or(self.rest.len())
            }
        };
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(Some(word))
    }

    fn skip_space(&mut self) -> Result<(), KeysError> {
        loop {
            let text = self.rest.trim_start();
            let skipped = match text.get(..2) {
                Some("//") => text.find('\n').unwrap_or(text.len()),
                Some("/*") => text.find("*/").ok_or_else(|| self.wrong("a comment is not closed"))? + 2,
                _ if text.starts_with('#') => text.find('\n').unwrap_or(text.len()),
                _ => 0,
            };
            let (before, after) = self.rest.split_at(self.rest.len() - text.len() + skipped);
            self.line += before.matches('\n').count();
            self.rest = after;
            if skipped == 0 {
                return Ok(());
            }
        }
    }

    fn wrong(&self, what: &str) -> KeysError {
        KeysError { line: self.line, what: what.to_owned() }
    }
}

/// MD5 and SHA-1 are left out: RFC 8945 section 6 says that they are not to be used.
const ALGORITHMS: [(&str, Algorithm); 3] = [
    ("hmac-sha256", Algorithm::Sha256),
    ("hmac-sha384", Algorithm::Sha384),
    ("hmac-sha512", Algorithm::Sha512),
];
/// Octets.
const SECRET_MIN: usize = 16;

#[cfg(test)]
mod tests {
    use domain::base::Name;

    use super::*;

    const FILE: &str = "# of the secondaries\nkey \"ns2\" {\n\talgorithm hmac-sha256;\n\tsecret \"l4zkZ1+9tb9pdLyqZ6DMKGyRPQMxNz6FBZLpQPk8ijA=\";\n};\n\
        key certbot.example. { secret \"l4zkZ1+9tb9pdLyqZ6DMKGyRPQMxNz6FBZLpQPk8ijA=\"; /* the other way\n round */ algorithm HMAC-SHA512; }; // end";

    #[test]
    fn keys_of_binds_tools_are_read() {
        let keys = Keys::parse(FILE).expect("keys");
        let named = |name: &str| keys.named(&Name::vec_from_str(name).expect("a name"));
        assert_eq!(named("NS2").expect("there").algorithm(), Algorithm::Sha256);
        assert_eq!(named("certbot.example").expect("there").algorithm(), Algorithm::Sha512);
        assert!(named("nobody").is_none());
        assert!(!format!("{keys:?}").contains("l4zk"));
        assert!(Keys::parse("").is_ok());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_without_the_secret() {
        for (text, line, what) in [
            ("\nkeys", 2, "expected `key"),
            ("key a {\nalgorithm hmac-md5;", 2, "the algorithms are"),
            ("key a { algorithm hmac-sha256; };", 1, "no secret"),
            ("key a { secret \"AAAAAAAAAAAAAAAAAAAAAA==\"; };", 1, "no algorithm"),
            ("key a { secret \"AAAA\"; };", 1, "128 bits"),
            ("key a { secret \"A", 1, "quotation mark"),
            ("key a { secret \"?\"; };", 1, "no base64"),
            ("key a..b {", 1, "no name"),
            ("key a", 1, "expected `{`"),
            ("/* ", 1, "a comment"),
            ("key a { algorithm", 1, "the file ends"),
        ] {
            let error = Keys::parse(text).expect_err(text);
            assert!(error.line == line && error.what.contains(what), "{text}: {error}");
        }
        assert_eq!(
            Keys::parse(&[FILE, "\n", FILE].concat()).expect_err("twice").what,
            "a second key of this name"
        );
    }
}
