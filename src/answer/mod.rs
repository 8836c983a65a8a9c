//! The answer to a query: one pure function for every transport, explain, tests and simulation.
//!
//! ```text
//!   Query --lookup--> name, cut, wildcard, chain, no data, no name  (RFC 1034 section 4.3.2)
//!                        |- steered --> geo::locate --> steering::decide --> record set
//!                        `- debug name --> explain --> TXT
//!   --> Answer: sections that borrow from the snapshot; an edge writes them as a message
//! ```

mod changes;
mod debug;
mod denial;
pub mod explain;
mod lookup;
mod parts;
mod steered;
mod trace;

pub use changes::{AnswerChange, Change, Changes, SettingChange, changes};
pub use lookup::answer;
pub use parts::{Answer, Client, Data, Ede, Owner, Proof, Query, Rcode, RecordSet, Section};
pub use trace::{How, Trace};

#[cfg(test)]
mod tests;
