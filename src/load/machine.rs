//! The configuration of this machine, and where its directories are.

use std::io;
use std::path::{Path, PathBuf};

use crate::spec::machine::Machine;
use crate::spec::{Diagnostic, Severity, Source, machine as spec};

/// This machine and its directories, made absolute against the configuration file's own place.
#[derive(Clone, Debug)]
pub struct Site {
    /// The configuration file.
    pub config: PathBuf,
    /// What it says.
    pub machine: Machine,
    /// What is served.
    pub zones: PathBuf,
    /// What survives a restart.
    pub state: PathBuf,
    /// The local socket for explain and control.
    pub socket: PathBuf,
}

impl Site {
    /// A path of the configuration, which is relative to its file.
    pub fn beside(&self, path: impl AsRef<Path>) -> PathBuf {
        tidy(&self.config.parent().unwrap_or(Path::new(".")).join(path))
    }
}

/// Reads `config`; `None` looks for `config/windrose.toml`, and does with the defaults if there is none.
///
/// # Errors
/// The diagnostics of what is wrong with it, or of why it cannot be read.
pub fn machine(config: Option<&Path>) -> Result<(Site, Vec<Diagnostic>), Vec<Diagnostic>> {
    let (site, diagnostics) = site(config);
    let wrong = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    if wrong { Err(diagnostics) } else { Ok((site, diagnostics)) }
}

/// As [`machine`], and with the defaults in place of what is wrong: to go on checking.
pub fn site(config: Option<&Path>) -> (Site, Vec<Diagnostic>) {
    let path = config.unwrap_or(Path::new(DEFAULT_CONFIG));
    let mut diagnostics = Vec::new();
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| {
        if config.is_some() || error.kind() != io::ErrorKind::NotFound {
            diagnostics.push(unreadable(path, &error));
        }
        String::new()
    });
    let machine = spec::parse(&Source::new(&path.display().to_string(), &text), &mut diagnostics);
    let base = path.parent().unwrap_or(Path::new("."));
    let state = base.join(&machine.state);
    let socket = match &machine.control.socket {
        Some(socket) => base.join(socket),
        None => state.join(DEFAULT_SOCKET),
    };
    let zones = tidy(&base.join(&machine.zones));
    (
        Site { config: path.to_owned(), zones, state: tidy(&state), socket: tidy(&socket), machine },
        diagnostics,
    )
}

/// `config/../zones` is `zones`: shorter in messages. Purely by the words of the path, so only where the
/// part taken away is a plain name that is no symbolic link.
fn tidy(path: &Path) -> PathBuf {
    let mut tidied = PathBuf::new();
    for part in path.components() {
        let can_drop = tidied.file_name().is_some() && !tidied.is_symlink();
        if part == std::path::Component::ParentDir && can_drop {
            tidied.pop();
        } else {
            tidied.push(part);
        }
    }
    if tidied.as_os_str().is_empty() { PathBuf::from(".") } else { tidied }
}

fn unreadable(path: &Path, error: &io::Error) -> Diagnostic {
    Diagnostic::general("unreadable", format!("cannot read {}: {error}", path.display()))
        .hint("name the configuration file on the command line: windrose serve path/to/windrose.toml")
}

const DEFAULT_CONFIG: &str = "config/windrose.toml";
const DEFAULT_SOCKET: &str = "windrose.sock";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_beside_the_configuration_is_named_shortly() {
        assert_eq!(tidy(Path::new("config/../zones")), Path::new("zones"));
        assert_eq!(tidy(Path::new("../zones")), Path::new("../zones"));
        assert_eq!(tidy(Path::new("config/..")), Path::new("."));
        assert_eq!(tidy(Path::new("/etc/windrose/../zones")), Path::new("/etc/zones"));
    }

    #[test]
    fn a_configuration_that_was_named_and_is_missing_is_an_error() {
        let diagnostics = machine(Some(Path::new("no/such/windrose.toml"))).expect_err("it is missing");
        assert!(diagnostics[0].message.contains("no/such/windrose.toml"), "{diagnostics:?}");
    }
}
