//! Another user in place of root, for the whole process: all threads, and no way back.

use std::ffi::CString;
use std::os::unix::fs::lchown;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, User, geteuid, getresuid, initgroups, setresgid, setresuid};

/// A user of this machine.
#[derive(Clone, Debug)]
pub(super) struct Account {
    name: CString,
    uid: Uid,
    gid: Gid,
}

impl Account {
    /// The one of this name.
    ///
    /// # Errors
    /// There is none, or nobody can say.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        let found = User::from_name(name)
            .map_err(|error| format!("cannot look up the user `{name}`: {}", error.desc()))?;
        let user = found.ok_or_else(|| {
            format!("there is no user `{name}`: `useradd --system --user-group {name}` makes one, or change `[sandbox] user`")
        })?;
        let name = CString::new(name).map_err(|_| format!("`{name}` is no name of a user"))?;
        Ok(Self { name, uid: user.uid, gid: user.gid })
    }

    /// Turns this process into that user, with the groups that it is in.
    ///
    /// # Errors
    /// Only root can, unless it is that user already.
    pub(super) fn turn_into(&self) -> Result<(), String> {
        let (current, name) = (geteuid(), self.name.to_string_lossy());
        if !current.is_root() {
            return if current == self.uid {
                Ok(())
            } else {
                Err(format!(
                    "started as {}, which cannot turn into {name}: start it as root or as {name}, or drop `[sandbox] user`",
                    name_of(current)
                ))
            };
        }
        let failed = |error: Errno| format!("cannot turn into {name}: {}", error.desc());
        // The groups first: afterwards it has no right to.
        initgroups(&self.name, self.gid).map_err(failed)?;
        setresgid(self.gid, self.gid, self.gid).map_err(failed)?;
        setresuid(self.uid, self.uid, self.uid).map_err(failed)?;
        let ids = getresuid().map_err(failed)?;
        let all = [ids.real, ids.effective, ids.saved].iter().all(|id| *id == self.uid);
        if all { Ok(()) } else { Err(format!("{name} is not all that this process still is")) }
    }
}

/// Makes a directory that is not there, for an account if there is one. That it cannot be made shows when it is
/// written to, and is no reason not to serve.
pub(super) fn make(directory: &Path, account: Option<&Account>) {
    if directory.exists() || std::fs::create_dir_all(directory).is_err() {
        return;
    }
    if let Some(account) = account {
        // Fails where it need not succeed: for whoever is that user already.
        let _ = lchown(directory, Some(account.uid.as_raw()), Some(account.gid.as_raw()));
    }
}

/// Who this process is, and whether that is root.
pub(super) fn current() -> (String, bool) {
    let uid = geteuid();
    (name_of(uid), uid.is_root())
}

fn name_of(uid: Uid) -> String {
    let user = User::from_uid(uid).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}
