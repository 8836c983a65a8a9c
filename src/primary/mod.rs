//! What a primary server keeps of a zone for others: all of it, under a number, how each edition came from the one
//! before, and what was changed by updates.
//!
//! ```text
//!   plan, health --of_zone--> Records --Edition::next--> Edition { serial, records, history }
//!                                                          |-- whole: AXFR (RFC 5936), if it is signed as SignedZone
//!                                                          `-- since a serial: IXFR (RFC 1995)
//!   zone file --Overlay::lay--> what is served            (records taken out, records put in)
//!                  ^
//!   UPDATE --update::work_out--> Overlay, or why not      (RFC 2136)
//! ```
//!
//! Nothing here knows a message, a key or a file: an edge reads and writes those.

mod edition;
mod gather;
mod overlay;
mod records;
mod serial;
mod signed;
pub mod update;

pub use edition::{Change, Content, Edition, Editions, Since, Soa};
pub use gather::{Steered, of_zone};
pub use overlay::Overlay;
pub use records::{Record, Records};
pub use serial::is_newer;
pub use signed::SignedZone;
