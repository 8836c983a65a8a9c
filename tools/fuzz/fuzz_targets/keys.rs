//! Files of secrets: keys of signed zones, as BIND's tools write them (the public file up to a line `----`, the private one
//! behind it), and the secrets of cookies.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ring::rand::SystemRandom;
use windrose::dns::cookies::{Cookie, Secrets};
use windrose::dnssec::{KeyFile, Seconds};
use windrose_fuzz::NOW;

static CHANCE: LazyLock<SystemRandom> = LazyLock::new(SystemRandom::new);

fuzz_target!(|octets: &[u8]| {
    let text = String::from_utf8_lossy(octets);
    let (public, private) = text.split_once("----\n").unwrap_or((&text, ""));
    if let Ok(file) = KeyFile::parse(public, private) {
        let again = KeyFile::parse(&file.public_text(), &file.private_text());
        assert!(again.is_ok_and(|again| again == file), "it does not come back");
        file.name();
        file.next(NOW);
        // Whether it is a pair is for the library to say.
        drop(file.key(&*CHANCE));
    }
    if let (Ok(secrets), Some(cookie)) = (Secrets::read(&text), Cookie::read(octets)) {
        let client = "192.0.2.1".parse().expect("an address");
        secrets.answer(&cookie, client, NOW.0 as u32);
    }
    if let Some(time) = Seconds::parse(&text) {
        assert_eq!(Seconds::parse(&time.compact()), Some(time));
    }
});
