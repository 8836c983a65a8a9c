//! Files and TCP ports out of reach, by Landlock.
//!
//! A rule is about a directory, as it is now, and all that is ever in it. So a file that is replaced by another one of
//! its name, as certificates and databases are, needs a rule about its directory.

use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, NetPort,
    RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
    path_beneath_rules,
};

/// What stays in reach. What is not there is passed over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reach {
    /// Directories with all that is in them, and files, to be read.
    pub read: Vec<PathBuf>,
    /// The same, to be written too.
    pub write: Vec<PathBuf>,
    /// TCP ports that may still be listened on. Connections to others are free: whom a probe checks is not known yet.
    pub ports: Vec<u16>,
}

/// Puts everything else out of reach of this thread and those that it starts.
///
/// # Errors
/// Nothing is: why.
pub(super) fn confine(reach: &Reach) -> Result<u32, String> {
    let status = restrict(reach).map_err(|error| error.to_string())?;
    match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, LandlockStatus::NotEnabled) => {
            Err("it is disabled in this kernel".into())
        }
        (RulesetStatus::NotEnforced, _) => Err("this kernel has none: Linux 5.13 and later do".into()),
        (_, LandlockStatus::Available { effective_abi, .. }) => Ok(effective_abi.min(HANDLED) as u32),
        (_, LandlockStatus::NotEnabled | LandlockStatus::NotImplemented) => {
            Err("this kernel has none".into())
        }
    }
}

fn restrict(reach: &Reach) -> Result<RestrictionStatus, RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(HANDLED))?
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::Signal)?
        .create()?
        .add_rules(path_beneath_rules(&reach.read, readable()))?
        .add_rules(path_beneath_rules(&reach.write, writable()))?
        .add_rules(
            reach.ports.iter().map(|&port| Ok::<_, RulesetError>(NetPort::new(port, AccessNet::BindTcp))),
        )?
        .restrict_self()
}

/// To start a program is not among it.
fn readable() -> BitFlags<AccessFs> {
    AccessFs::ReadFile | AccessFs::ReadDir
}

/// Nor are devices and pipes.
fn writable() -> BitFlags<AccessFs> {
    readable()
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::MakeSock
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer
}

/// What this was tried with (Linux 6.12). Older kernels do less of it; what newer ones could do more is not asked for.
const HANDLED: ABI = ABI::V6;
