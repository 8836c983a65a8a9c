//! The header of a load balancer, in front of a datagram or a stream: both ways to read it come to the same.

#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};
use windrose::dns::proxy::{Origin, looks_like_header, split_header, take_header};

thread_local! {
    static RUNTIME: RefCell<Runtime> = RefCell::new(Builder::new_current_thread().build().expect("a runtime"));
}

fuzz_target!(|octets: &[u8]| {
    let datagram = split_header(octets);
    let mut rest = octets;
    let stream = RUNTIME.with_borrow_mut(|runtime| runtime.block_on(take_header(&mut rest)));
    if let Ok((_, message)) = &datagram {
        assert!(looks_like_header(octets), "something else was taken for a header");
        assert!(octets.ends_with(message));
    }
    for origin in [datagram.map(|(origin, _)| origin).ok(), stream.as_ref().ok().copied()] {
        if let Some(Origin::Client(client)) = origin {
            assert!(client.port() != 0, "nobody sends from port 0");
        }
    }
    if let (Ok((Origin::Proxy, message)), Ok(Origin::Proxy)) = (datagram, stream) {
        assert_eq!(message, rest, "a header of another length");
    }
});
