//! Giving up what is not needed any more: whoever finds a way into this process is no further than here.
//!
//! ```text
//!   started, ports bound
//!     account  another user, none of root's capabilities                       the whole process
//!     ------   no new privileges: no program that is started gets any back    \
//!     files    Landlock: only named files, only named TCP ports to listen on   > this thread, and those it starts
//!     calls    seccomp: no system call that a name server has no use for      /
//!   threads started, input read
//! ```
//!
//! [`enter`] is called from the main thread before there are others. Each step is as strict as the kernel allows; what
//! it does not allow is told in [`InForce`], and no reason not to serve. That the user cannot be changed as wanted is an
//! error: whoever wrote it relies on it.

mod account;
mod calls;
mod files;

use std::fmt;
use std::path::PathBuf;

pub use files::Reach;

use account::Account;

/// What is to be given up.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Whom to turn into; `None`: nobody else.
    pub user: Option<String>,
    /// The files and ports that stay in reach; `None`: all.
    pub files: Option<Reach>,
    /// Directories that are written to: made if they are not there, for that user.
    pub made: Vec<PathBuf>,
    /// Whether system calls are refused.
    pub calls: bool,
}

/// What of it is in force. Shown: `user windrose, no new privileges, Landlock (ABI 6), seccomp`.
#[derive(Clone, Debug, PartialEq)]
pub struct InForce {
    /// Who this process is now, by name if it has one.
    pub user: String,
    /// Whether that is root, who may do a lot even here.
    pub root: bool,
    /// `Err`: why not.
    pub no_new_privileges: Result<(), String>,
    /// The level of Landlock; `Err`: why not; `None`: not wanted.
    pub files: Option<Result<u32, String>>,
    /// `Err`: why not; `None`: not wanted.
    pub calls: Option<Result<(), String>>,
}

/// Gives up what is not wanted any more, for good.
///
/// # Errors
/// The user is not as wanted; why, and what to do.
pub fn enter(wanted: &Wanted) -> Result<InForce, String> {
    let account = wanted.user.as_deref().map(Account::named).transpose()?;
    for directory in &wanted.made {
        account::make(directory, account.as_ref());
    }
    if let Some(account) = &account {
        account.turn_into()?;
    }
    let no_new_privileges = nix::sys::prctl::set_no_new_privs().map_err(|error| error.desc().to_owned());
    // Without it the kernel takes neither of the others from anybody but root, and then they say so.
    let files = wanted.files.as_ref().map(files::confine);
    let calls = wanted.calls.then(calls::refuse);
    let (user, root) = account::current();
    Ok(InForce { user, root, no_new_privileges, files, calls })
}

/// Whether this machine has a user of this name.
///
/// # Errors
/// It has not; why, and what to do.
pub fn find(user: &str) -> Result<(), String> {
    Account::named(user).map(drop)
}

impl InForce {
    /// Whether something that was wanted is not in force.
    pub fn lacks(&self) -> bool {
        self.no_new_privileges.is_err()
            || matches!(self.files, Some(Err(_)))
            || matches!(self.calls, Some(Err(_)))
    }
}

impl fmt::Display for InForce {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "user {}", self.user)?;
        match &self.no_new_privileges {
            Ok(()) => write!(out, ", no new privileges")?,
            Err(why) => write!(out, ", new privileges possible ({why})")?,
        }
        match &self.files {
            Some(Ok(level)) => write!(out, ", Landlock (ABI {level})")?,
            Some(Err(why)) => write!(out, ", no Landlock ({why})")?,
            None => write!(out, ", no Landlock (switched off)")?,
        }
        match &self.calls {
            Some(Ok(())) => write!(out, ", seccomp"),
            Some(Err(why)) => write!(out, ", no seccomp ({why})"),
            None => write!(out, ", no seccomp (switched off)"),
        }
    }
}

#[cfg(test)]
mod tests;
