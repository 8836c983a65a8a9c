//! Files: configuration, zones, state; and noticing that they changed.
//!
//! ```text
//!   config/windrose.toml --machine()--> Site { Machine, directories }
//!   zones/               --zones()----> Sources > spec::parse > plan::compile > Loaded
//!                        --Watch------> "something changed"
//!   keys/                --sign()----> keys of the zones that are signed
//!   certificate, key     --CertificateFiles--> Certificate, for encrypted listeners
//!   geo databases        --Databases-> Facts: what is known of each client
//!   state/               <-state-> what a restart starts from
//!   state/journal/       <-Journals-> what updates made of zones, and their latest changes
//!   state/zones/         <-PublishedZones-> the zones that the fleet published
//! ```

mod certificate;
mod databases;
mod geo;
mod journal;
mod keys;
mod machine;
mod published;
mod state;
mod watch;
mod zones;

pub use certificate::{Certificate, CertificateFiles, diagnostics as certificate_diagnostics};
pub use databases::{Current, Databases, Held};
pub use geo::Database;
pub use journal::{Journal, Journals, overlays};
pub use keys::{FoundKey, KeyDirectory, seconds, sign};
pub use machine::{Site, machine, site};
pub use published::{PublishedZones, ZoneFiles, zone_files};
pub use state::{StateFile, Unreadable};
pub use watch::Watch;
pub use zones::{Loaded, Overlays, ReadError, include, sources, zones};
