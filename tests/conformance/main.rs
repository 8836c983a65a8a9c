//! The server as other name servers, resolvers and scanners see it: the real binary, asked with packets made
//! octet by octet, over UDP and TCP. docs/CONFORMANCE.md says which rule is shown by what.
//!
//! ```text
//!   cases/*.txt --query.rs--> packet --ask.rs--> server --reply.rs--> text, compared with what is expected
//! ```

mod ask;
mod cases;
mod differential;
mod limits;
mod oracles;
mod query;
mod reply;
mod stream;
mod table;
mod updates;
mod zonemaster;

#[allow(dead_code, reason = "the tests in tests/e2e call the rest")]
#[path = "../e2e/world.rs"]
mod world;
