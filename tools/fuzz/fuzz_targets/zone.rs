//! Zone files: whatever is written in one is served or complained about, and what is served can be asked for.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::{Corpus, fuzz_target};
use windrose::dns::respond::Transport;
use windrose::geo::Facts;
use windrose::keeper::Keeper;
use windrose::spec::{Limits, Source, Sources, master};
use windrose_fuzz::{AT, Asker, compile, is_dear, no_files, query};

fuzz_target!(|octets: &[u8]| -> Corpus {
    let text = String::from_utf8_lossy(octets);
    if is_dear(&text) {
        return Corpus::Reject;
    }
    let source = Source::new("example.org.zone", &text);
    let sources = Sources { zones: vec![source.clone()], steering: Vec::new() };
    let Some(plan) = compile(&sources, &Arc::new(Facts::none())) else { return Corpus::Keep };
    let zone = master::parse(&source, &no_files, &mut Vec::new()).expect("the file's name is a name");
    let snapshot = Keeper::new(Arc::new(plan), None, AT).first();
    let mut asker = Asker::new(Limits::none());
    for record in zone.records().take(ASKED) {
        let packet = query(record.owner, record.rtype);
        asker.ask(&packet, Transport::Tcp, &snapshot).expect("a query is answered");
        asker.ask(&packet, Transport::Udp, &snapshot).expect("a query is answered");
    }
    Corpus::Keep
});

/// So many records are asked for: more are of the same kinds.
const ASKED: usize = 20;
