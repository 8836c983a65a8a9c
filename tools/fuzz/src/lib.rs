//! What the fuzz targets share. Each target is one way by which octets of strangers come in:
//!
//! ```text
//!   packet    from anybody           --> Responder, over every transport --> read by another library
//!   primary   from other servers     --> Primary: transfers, updates --> Overlay --> plan::compile
//!   proxy     from load balancers    --> PROXY header
//!   report    from the fleet         --> wire::decode --> Keeper
//!   state     from a disk            --> StateFile    --> Keeper
//!   mmdb      from a download        --> Databases    --> plan::compile
//!   zone      from an operator       --> spec::master   --> plan::compile --> Responder
//!   steering  from an operator       --> spec::steering --> plan::compile --> Responder
//!   machine   from an operator       --> spec::machine
//!   keys      from an operator       --> KeyFile, cookies' secrets
//! ```
//!
//! None may panic, overflow, hang or eat memory; what else must hold, each target asserts. Whatever a target does
//! depends on its input alone, so that a finding can be played again.

mod dns;
mod files;
mod world;

pub use dns::{Asker, NOW, Read, query, read};
pub use files::{Scratch, is_dear, no_files, refused, told};
pub use world::{AT, MINUTES, World, compile, compile_updated};
