//! DNSSEC: keys, what they say at a given time, and the signatures they make.
//!
//! ```text
//!   K*.key, K*.private --text--> Key { public, timing, pair }
//!                                  `--> Keyring --> ZoneKeys --at(time)--> Epoch { DNSKEY, CDS, CDNSKEY; who signs }
//!
//!   a record set of an answer --canonical form--> Epoch --> Cache: signed before?  --yes--> Signature
//!                                                             `--no--> the key signs it --^
//! ```
//!
//! Nothing is signed ahead: which records a steered name answers is only known when it is asked. What was signed is
//! remembered, so that an answer costs a signature once for each of its forms and each period of validity. Time and
//! chance are arguments: a rollover is a matter of what time it is, not of something that happens.

mod bind;
mod cache;
mod canonical;
mod denial;
mod key;
mod keyring;
mod roll;
mod signature;
mod timing;

pub use bind::{KeyFile, KeyFileError};
pub use cache::{Cache, Figures};
pub use canonical::canonical_rdata;
pub use denial::{bitmap, just_after};
pub use key::{Algorithm, Key, KeyRecord, Role};
pub use keyring::{CannotSign, Epoch, Keyring, Policy, Published, SignedId, ZoneKeys};
pub use roll::Waits;
pub use signature::{HEAD, RecordsToSign, Signature, Signatures, Signer, Unsigned};
pub use timing::{Seconds, State, Timing};
