//! Files: configuration, zones, state; and noticing that they changed.
//!
//! ```text
//!   config/windrose.toml --machine()--> Site { Machine, directories }
//!   zones/               --zones()----> Sources > spec::parse > plan::compile > Loaded
//!                        --Watch------> "something changed"
//!   state/               <-state-> what a restart starts from
//! ```

mod machine;
mod state;
mod watch;
mod zones;

pub use machine::{Site, machine, site};
pub use state::{StateFile, Unreadable};
pub use watch::Watch;
pub use zones::{Loaded, ReadError, include, sources, zones};
