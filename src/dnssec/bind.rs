//! Key files as BIND's tools write and read them: `K<zone>.+<algorithm>+<tag>.key` with the public side, and
//! `.private` (format v1.3) with the private key and the times.
//!
//! ```text
//!   Kexample.org.+013+50427.key       example.org. IN DNSKEY 257 3 13 zx5N/zwcMDei9KD1...
//!   Kexample.org.+013+50427.private   Private-key-format: v1.3
//!                                     Algorithm: 13 (ECDSAP256SHA256)
//!                                     PrivateKey: kG5n...
//!                                     Created: 20261121145335
//! ```
//!
//! So keys can come from `dnssec-keygen`, an HSM's export or another server, and `dnssec-settime` moves their times.

use std::fmt::{self, Write};

use domain::utils::base64;
use ring::rand::SecureRandom;

use crate::dnssec::key::{Algorithm, BadKey, Key, KeyRecord, Role};
use crate::dnssec::timing::{Seconds, Timing};
use crate::model::Name;

/// Both files of a key.
#[derive(Clone, PartialEq)]
pub struct KeyFile {
    /// The zone whose key it is.
    pub zone: Name,
    /// Its public side.
    pub record: KeyRecord,
    /// When it does what.
    pub timing: Timing,
    private: Vec<u8>,
    /// Lines of the private file that say nothing to us, to be kept.
    other: Vec<String>,
}

/// Why a key file cannot be used. Never says what is in a private one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFileError {
    /// There is no DNSKEY record that could be read in the public file.
    NoDnskey,
    /// The key signs in a way that is not known here: this number.
    Algorithm(u8),
    /// Its flags are not those of a key that signs a zone.
    Flags(u16),
    /// The private file lacks this, or it cannot be read.
    Private(&'static str),
    /// The halves are of two keys.
    Pair,
}

impl KeyFile {
    /// A key as it was generated.
    pub fn new(zone: Name, record: KeyRecord, private: Vec<u8>, timing: Timing) -> Self {
        Self { zone, record, timing, private, other: Vec::new() }
    }

    /// Reads the texts of both files.
    ///
    /// # Errors
    /// What is wrong with the first of them that cannot be read.
    pub fn parse(public: &str, private: &str) -> Result<Self, KeyFileError> {
        let (zone, record) = parse_public(public)?;
        let mut file = Self::new(zone, record, Vec::new(), Timing::default());
        file.read_private(private)?;
        Ok(file)
    }

    /// The key, able to sign.
    ///
    /// # Errors
    /// The halves do not belong together.
    pub fn key(&self, rng: &dyn SecureRandom) -> Result<Key, KeyFileError> {
        let key = Key::new(self.record.clone(), &self.private, self.timing, rng);
        key.map_err(|BadKey| KeyFileError::Pair)
    }

    /// What both files are called, without `.key` and `.private`.
    pub fn name(&self) -> String {
        let number = self.record.algorithm.number();
        format!("{}+{number:03}+{:05}", Self::prefix(&self.zone), self.record.tag())
    }

    /// How the names of all key files of a zone begin: up to the first `+`.
    pub fn prefix(zone: &Name) -> String {
        let mut prefix = String::from("K");
        for label in zone.iter().filter(|label| !label.is_root()) {
            for octet in label.iter() {
                match octet.to_ascii_lowercase() {
                    plain @ (b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_') => prefix.push(plain.into()),
                    other => {
                        let _ = write!(prefix, "%{other:02X}");
                    }
                }
            }
            prefix.push('.');
        }
        if prefix.len() == 1 {
            prefix.push('.');
        }
        prefix
    }

    /// The text of the public file.
    pub fn public_text(&self) -> String {
        let KeyRecord { algorithm, role, public } = &self.record;
        let (kind, tag) = (if *role == Role::KeySigning { "key" } else { "zone" }, self.record.tag());
        let mut text = format!("; This is a {kind}-signing key, keyid {tag}, for {}.\n", self.zone);
        for (word, at) in self.times() {
            let _ = writeln!(text, "; {word}: {} ({at})", at.compact());
        }
        let (flags, number) = (role.flags(), algorithm.number());
        let public = base64::encode_string(public);
        let _ = writeln!(text, "{} IN DNSKEY {flags} 3 {number} {public}", self.zone.fmt_with_dot());
        text
    }

    /// The text of the private file: to be kept from everybody.
    pub fn private_text(&self) -> String {
        let algorithm = self.record.algorithm;
        let (number, mnemonic) = (algorithm.number(), algorithm.mnemonic());
        let private = base64::encode_string(&self.private);
        let mut text =
            format!("Private-key-format: v1.3\nAlgorithm: {number} ({mnemonic})\nPrivateKey: {private}\n");
        for (word, at) in self.times() {
            let _ = writeln!(text, "{word}: {}", at.compact());
        }
        for line in &self.other {
            let _ = writeln!(text, "{line}");
        }
        text
    }

    /// What happens to it next, and when.
    pub fn next(&self, now: Seconds) -> Option<(&'static str, Seconds)> {
        self.times().filter(|(_, at)| now < *at).min_by_key(|(_, at)| *at)
    }

    fn read_private(&mut self, text: &str) -> Result<(), KeyFileError> {
        let (mut dated, mut algorithm) = (true, None);
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let (word, value) = line.split_once(':').ok_or(KeyFileError::Private("a value on each line"))?;
            let value = value.trim();
            match word.trim() {
                // Before 1.3 there were no times: such a key is shown and signs from the beginning.
                "Private-key-format" => dated = !matches!(value, "v1.1" | "v1.2"),
                "Algorithm" => algorithm = value.split_whitespace().next().and_then(|word| word.parse().ok()),
                "PrivateKey" => {
                    let decoded = base64::decode(value);
                    self.private = decoded.map_err(|_| KeyFileError::Private("`PrivateKey`"))?;
                }
                other => match place(&mut self.timing, other) {
                    Some(time) => {
                        let read = Seconds::parse(value.split_whitespace().next().unwrap_or_default());
                        *time = Some(read.ok_or(KeyFileError::Private("times as YYYYMMDDHHMMSS"))?);
                    }
                    // Without the carriage returns that its end may have: it would come back with fewer.
                    None => self.other.push(line.trim_end().to_owned()),
                },
            }
        }
        if algorithm != Some(self.record.algorithm.number()) {
            return Err(KeyFileError::Private("the `Algorithm` of the public file"));
        }
        if self.private.is_empty() {
            return Err(KeyFileError::Private("`PrivateKey`"));
        }
        if !dated {
            self.timing.publish = self.timing.publish.or(Some(Seconds(0)));
            self.timing.activate = self.timing.activate.or(Some(Seconds(0)));
        }
        Ok(())
    }

    /// The times that it has, by the words for them, in the order in which BIND writes them.
    pub fn times(&self) -> impl Iterator<Item = (&'static str, Seconds)> {
        let mut timing = self.timing;
        WORDS.into_iter().filter_map(move |word| {
            let at = place(&mut timing, word).and_then(|at| *at)?;
            Some((word, at))
        })
    }
}

/// Never shows what is private.
impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {:?}", self.zone, self.record, self.timing)
    }
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDnskey => f.write_str("there is no DNSKEY record in it"),
            Self::Algorithm(number) => {
                write!(f, "its algorithm is {number}: 13 (ECDSAP256SHA256) and 15 (ED25519) sign online")
            }
            Self::Flags(flags) => {
                write!(f, "its flags are {flags}: a key that signs a zone has 256 (ZSK) or 257 (KSK)")
            }
            Self::Private(what) => write!(f, "the private file lacks {what}"),
            Self::Pair => f.write_str("the private key belongs to another public key"),
        }
    }
}

fn parse_public(text: &str) -> Result<(Name, KeyRecord), KeyFileError> {
    let mut lines = text.lines().map(|line| line.split(';').next().unwrap_or_default().trim());
    let line = lines.find(|line| !line.is_empty()).ok_or(KeyFileError::NoDnskey)?;
    let mut words = line.split_whitespace();
    let zone = words.next().and_then(|word| word.parse::<Name>().ok()).ok_or(KeyFileError::NoDnskey)?;
    let mut words = words.skip_while(|word| !word.eq_ignore_ascii_case("DNSKEY")).skip(1);
    let mut number = || words.next().and_then(|word| word.parse::<u16>().ok()).ok_or(KeyFileError::NoDnskey);
    let (flags, _protocol, number) = (number()?, number()?, number()?);
    let number = u8::try_from(number).map_err(|_| KeyFileError::NoDnskey)?;
    let algorithm = Algorithm::of_number(number).ok_or(KeyFileError::Algorithm(number))?;
    let role = Role::of_flags(flags).ok_or(KeyFileError::Flags(flags))?;
    let public: Vec<u8> = base64::decode(&words.collect::<String>()).map_err(|_| KeyFileError::NoDnskey)?;
    if public.len() != algorithm.public_length() {
        return Err(KeyFileError::NoDnskey);
    }
    Ok((zone, KeyRecord { algorithm, role, public: public.into() }))
}

/// Where a word of a key file keeps its time.
fn place<'t>(timing: &'t mut Timing, word: &str) -> Option<&'t mut Option<Seconds>> {
    Some(match word {
        "Created" => &mut timing.created,
        "Publish" => &mut timing.publish,
        "Activate" => &mut timing.activate,
        "Inactive" => &mut timing.inactive,
        "Delete" => &mut timing.delete,
        "SyncPublish" => &mut timing.sync_publish,
        "SyncDelete" => &mut timing.sync_delete,
        _ => return None,
    })
}

/// The times of a key file, in the order in which BIND writes them.
const WORDS: [&str; 7] =
    ["Created", "Publish", "Activate", "Inactive", "Delete", "SyncPublish", "SyncDelete"];

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;

    use super::*;

    const PUBLIC: &str = "; This is a key-signing key, keyid 50427, for example.org.
; Created: 20261121145335 (Sat Nov 21 14:53:35 2026)
example.org. IN DNSKEY 257 3 13 zx5N/zwcMDei9KD1UQsaOdSW5RfacLeLe201CVqwkj86huU5ZhOt6v5E Tm9DsKVOt4R0XWHFFHH7eesNb209vA==
";
    /// Made by `dnssec-keygen` for this test, and used nowhere.
    const PRIVATE: &str = "Private-key-format: v1.3
Algorithm: 13 (ECDSAP256SHA256)
PrivateKey: kG5nPAexLyUSIbqCE4dLMYqjI5gK+zV4/46CGKcUp8w=
Created: 20261121145335
Publish: 20261121145335
Activate: 20261121145335
DSPublish: 20261122145335
";

    #[test]
    fn a_key_of_the_root_comes_back_as_it_was() {
        let file = KeyFile::parse(&PUBLIC.replace("\nexample.org.", "\n."), PRIVATE).expect("a key");
        assert!(file.public_text().contains("\n. IN DNSKEY "));
        assert_eq!(KeyFile::parse(&file.public_text(), &file.private_text()), Ok(file));
    }

    #[test]
    fn a_line_that_says_nothing_to_us_comes_back_as_it_was() {
        let file = KeyFile::parse(PUBLIC, &format!("{PRIVATE}Comment: x\r\r\n")).expect("a key");
        let again = KeyFile::parse(&file.public_text(), &file.private_text());
        assert_eq!(again, Ok(file));
    }

    #[test]
    fn keys_of_binds_tools_are_read_and_written_as_they_are() {
        let file = KeyFile::parse(PUBLIC, PRIVATE).expect("a key");
        assert_eq!(file.name(), "Kexample.org.+013+50427");
        assert_eq!(file.record.role, Role::KeySigning);
        assert_eq!(file.timing.activate, Seconds::parse("20261121145335"));
        assert!(file.key(&SystemRandom::new()).is_ok());
        assert_eq!(file.private_text(), PRIVATE);
        assert_eq!(KeyFile::parse(&file.public_text(), PRIVATE), Ok(file));
    }

    /// `dnssec-keygen` writes the private key as a number, without the zeros that it begins with.
    #[test]
    fn a_private_key_that_begins_with_zeros_is_shorter() {
        let public = "example.org. IN DNSKEY 257 3 13 7VA8uErmQiPwBRwHuoLLvPDYnVnYkONU64CZq7ekTYG+rpPPpXvsNVXy +Nb+umpVROu6/Ib0TcIpLN+R+Ok2FQ==\n";
        let private = PRIVATE.replace(
            "kG5nPAexLyUSIbqCE4dLMYqjI5gK+zV4/46CGKcUp8w=",
            "dADqWQkibltxW1hq9GEbW7HrslBZEB0WoCGuSs6qKg==",
        );
        let file = KeyFile::parse(public, &private).expect("a key");
        assert!(file.key(&SystemRandom::new()).is_ok());
        assert_eq!(file.private_text(), private);
    }

    #[test]
    fn keys_without_times_sign_from_the_beginning() {
        let private: String =
            PRIVATE.replace("v1.3", "v1.2").lines().take(3).map(|l| format!("{l}\n")).collect();
        let file = KeyFile::parse(PUBLIC, &private).expect("a key");
        assert!(file.timing.is_active(Seconds(1)) && file.timing.is_published(Seconds(1)));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_without_what_is_in_it() {
        let cases = [
            (PUBLIC.replace("DNSKEY 257", "DNSKEY 0"), PRIVATE.to_owned(), KeyFileError::Flags(0)),
            (PUBLIC.replace("3 13 z", "3 8 z"), PRIVATE.to_owned(), KeyFileError::Algorithm(8)),
            ("; nothing\n".to_owned(), PRIVATE.to_owned(), KeyFileError::NoDnskey),
            (PUBLIC.to_owned(), "PrivateKey: x".to_owned(), KeyFileError::Private("`PrivateKey`")),
            (
                PUBLIC.to_owned(),
                PRIVATE.replace("20261122", "soon").replace("Publish: 2", "Publish: x"),
                KeyFileError::Private("times as YYYYMMDDHHMMSS"),
            ),
        ];
        for (public, private, error) in cases {
            assert_eq!(KeyFile::parse(&public, &private), Err(error));
        }
        let other = PRIVATE.replace("kG5nP", "kG5nQ");
        let file = KeyFile::parse(PUBLIC, &other).expect("it can be read");
        assert_eq!(file.key(&SystemRandom::new()).err(), Some(KeyFileError::Pair));
        assert!(!format!("{file:?}").contains("kG5n"));
    }

    #[test]
    fn names_of_files_hold_no_slash() {
        let zone: Name = "0/25.2.0.192.IN-ADDR.arpa".parse().expect("a name");
        assert_eq!(KeyFile::prefix(&zone), "K0%2F25.2.0.192.in-addr.arpa.");
    }
}
