//! Answers against the RFCs, against a slow reference, and for random names.

mod bounds;
mod debug;
mod denial;
mod reference;
mod rfc;
mod steered;
pub(super) mod world;
