//! `[sandbox]`: what the server gives up once it has what it needs.
//!
//! ```text
//!   user      whom it turns into, if started as root
//!   landlock  files: only those that the configuration names, those in `read`, and those in `write`
//!   seccomp   system calls: none that a name server has no use for
//! ```

use super::{plain, value};
use crate::spec::reader::{ListOf, TEXT, Table, Truth, key};

/// `[sandbox]`. Paths are as written: relative to the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Sandbox {
    /// `enabled`: whether anything of this is done; default true.
    pub enabled: bool,
    /// `user`: whom it turns into once the ports are bound; `None`: it stays who started it.
    pub user: Option<String>,
    /// `landlock`: whether files are out of reach; default true.
    pub files: bool,
    /// `seccomp`: whether system calls are; default true.
    pub calls: bool,
    /// `read`: directories and files that may be read besides those that the configuration names.
    pub read: Vec<String>,
    /// `write`: directories and files that may be written besides those that the configuration names.
    pub write: Vec<String>,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self { enabled: true, user: None, files: true, calls: true, read: Vec::new(), write: Vec::new() }
    }
}

pub(super) fn sandbox(table: &mut Table<'_>) -> Sandbox {
    let default = Sandbox::default();
    let none: &[&str] = &[];
    let enabled = key("enabled", "Whether the server gives up what it does not need once it runs.");
    let user =
        key("user", "The user that it turns into once its ports are bound, if it was started as root.");
    let files = key("landlock", "Whether only the files that are needed stay in reach (Landlock).");
    let calls = key("seccomp", "Whether system calls that are of no use to it are refused (seccomp).");
    let read = key("read", "Directories and files that may be read, too.").or(none);
    let write = key("write", "Directories and files that may be written, too.").or(none);
    Sandbox {
        enabled: table.defaulted(enabled, Truth, default.enabled),
        user: value(table.optional(user, TEXT)),
        files: table.defaulted(files, Truth, default.files),
        calls: table.defaulted(calls, Truth, default.calls),
        read: table.optional(read, ListOf::any(TEXT)).map_or(default.read, plain),
        write: table.optional(write, ListOf::any(TEXT)).map_or(default.write, plain),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use crate::spec::Source;

    fn read(table: &str) -> (Sandbox, Vec<&'static str>) {
        let mut diagnostics = Vec::new();
        let text = format!("[sandbox]\n{table}");
        let machine = parse(&Source::new("config/windrose.toml", &text), &mut diagnostics);
        (machine.sandbox, diagnostics.iter().map(|found| found.code).collect())
    }

    #[test]
    fn what_is_written_holds() {
        let written =
            "user = \"windrose\"\nseccomp = false\nread = [\"/srv/dns\"]\nwrite = [\"/var/log/w\"]\n";
        let expected = Sandbox {
            user: Some("windrose".into()),
            calls: false,
            read: vec!["/srv/dns".into()],
            write: vec!["/var/log/w".into()],
            ..Sandbox::default()
        };
        assert_eq!(read(written), (expected, vec![]));
    }

    #[test]
    fn what_is_wrong_keeps_the_sandbox_closed() {
        let (sandbox, wrong) = read("enabled = \"no\"\nlandlok = false\nread = \"/srv\"\n");
        assert_eq!(sandbox, Sandbox::default());
        assert_eq!(wrong, ["wrong-type", "wrong-type", "unknown-key"]);
    }
}
