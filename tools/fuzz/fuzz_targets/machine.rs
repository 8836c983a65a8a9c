//! `windrose.toml`: whatever is written there is taken or complained about.

#![no_main]

use libfuzzer_sys::fuzz_target;
use windrose::spec::{Source, machine};
use windrose_fuzz::told;

fuzz_target!(|octets: &[u8]| {
    let mut found = Vec::new();
    machine::parse(&Source::new("windrose.toml", &String::from_utf8_lossy(octets)), &mut found);
    told(&found);
});
