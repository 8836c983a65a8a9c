//! What of this machine's files a server needs for as long as it runs; everything else it gives up.
//!
//! ```text
//!   Site --> the directory of each file that the configuration names, and where symbolic links lead
//!            its directories, and the system's                          --> sandbox::enter, before there are threads
//!            `[sandbox] read`, `write`
//! ```
//!
//! A file gets a rule about its directory: those that matter are replaced by others of the same name, as certificates
//! are when they are renewed, or come later.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};
use tracing::{info, warn};

use crate::app::Failure;
use crate::load::{Databases, KeyDirectory, Loaded, Site};
use crate::sandbox::{self, InForce, Reach, Wanted};
use crate::spec::Diagnostic;
use crate::spec::machine::Login;

/// Gives up what is not needed any more, and says what is in force. Call before there are other threads, and once the
/// ports are bound.
pub(super) fn enter(site: &Site) -> Result<String, Failure> {
    let settings = &site.machine.sandbox;
    if !settings.enabled {
        info!("sandbox: off");
        return Ok("off".into());
    }
    let wanted = Wanted {
        user: settings.user.clone(),
        files: settings.files.then(|| reach(site)),
        made: made(site),
        calls: settings.calls,
    };
    let in_force = sandbox::enter(&wanted).map_err(|why| Failure::Failed(format!("sandbox: {why}")))?;
    tell(&in_force, site);
    Ok(in_force.to_string())
}

/// A warning for each file that was read, or should have been, and that a server would not get to see.
pub(super) fn out_of_reach(site: &Site, loaded: &Loaded) -> Vec<Diagnostic> {
    let settings = &site.machine.sandbox;
    if !settings.enabled || !settings.files {
        return Vec::new();
    }
    let Reach { read, write, .. } = reach(site);
    let reached: Vec<PathBuf> =
        read.iter().chain(&write).filter_map(|path| path.canonicalize().ok()).collect();
    let is_out = |file: &Path| {
        let real = file.canonicalize();
        real.is_ok_and(|real| !reached.iter().any(|directory| real.starts_with(directory)))
    };
    let warning = |file: &Path| {
        let message = format!("the sandbox keeps the server from reading {}", file.display());
        Diagnostic::general_warning("sandbox", message).hint(HINT)
    };
    // A plain file of the directory of zones is in reach as that is.
    let elsewhere = |file: &&Path| file.parent() != Some(&site.zones) || file.is_symlink();
    let included = loaded.included.iter().map(PathBuf::as_path).filter(elsewhere);
    let files: BTreeSet<&Path> = included.chain(roots(loaded)).collect();
    files.into_iter().filter(|file| is_out(file)).map(warning).collect()
}

/// What `windrose check` has to say of it besides: the files may be checked on another machine than they are for.
pub(super) fn warnings(site: &Site) -> Vec<Diagnostic> {
    let settings = &site.machine.sandbox;
    let user = settings.user.as_ref().filter(|_| settings.enabled);
    let missing = user.and_then(|user| sandbox::find(user).err());
    missing.map(|why| Diagnostic::general_warning("no-user", why)).into_iter().collect()
}

/// The files of roots of certificates that monitors name.
fn roots(loaded: &Loaded) -> impl Iterator<Item = &Path> {
    let monitors = loaded.plan.iter().flat_map(|plan| &plan.inventory.monitors);
    monitors.filter_map(|monitor| monitor.ask.tls()?.roots.as_deref()).map(Path::new)
}

/// One line for what is in force, and one for each thing that an operator should change.
fn tell(in_force: &InForce, site: &Site) {
    if in_force.lacks() {
        warn!("sandbox: {in_force}");
    } else {
        info!("sandbox: {in_force}");
    }
    if in_force.root {
        warn!(
            "this server runs as root: `useradd --system --user-group windrose`, and `user = \"windrose\"` in [sandbox]"
        );
    }
    let user = &in_force.user;
    if !is_writable(&site.state) {
        warn!("the user {user} cannot write {0}: `chown -R {user}: {0}`", site.state.display());
    } else if !is_writable(&of_socket(site)) {
        // Perhaps /run, which must stay whose it is.
        let directory = of_socket(site);
        warn!(
            "the user {user} cannot write {}: give the socket a directory of that user's in [control]",
            directory.display()
        );
    }
    for file in named_files(site).iter().filter(|file| is_unreadable(file)) {
        warn!("the user {user} cannot read {}: give it the right to", file.display());
    }
}

/// What must stay in reach.
fn reach(site: &Site) -> Reach {
    let settings = &site.machine.sandbox;
    let mut read: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    read.push(around(&site.config));
    let directories = [site.zones.clone(), KeyDirectory::of(site).path().to_owned()];
    for directory in directories.into_iter().chain(Databases::directories(site)) {
        read.extend(led_to(&directory));
        read.extend(entries(&directory).iter().filter_map(|entry| led_to(entry)));
        read.push(directory);
    }
    for file in named_files(site).into_iter().chain(trusted()).chain([PathBuf::from(RESOLVERS)]) {
        read.push(around(&file));
        read.extend(led_to(&file));
    }
    read.extend(settings.read.iter().map(|path| site.beside(path)));
    let mut write = made(site);
    write.extend(settings.write.iter().map(|path| site.beside(path)));
    let listeners = [site.machine.control.listen, site.machine.beats.listen];
    Reach { read, write, ports: listeners.into_iter().flatten().map(|address| address.port()).collect() }
}

/// Directories that the server writes to.
fn made(site: &Site) -> Vec<PathBuf> {
    let mut made = vec![site.state.clone(), of_socket(site)];
    made.dedup();
    made
}

/// Where the control socket is.
fn of_socket(site: &Site) -> PathBuf {
    site.socket.parent().map_or_else(|| ".".into(), plain)
}

/// The files that the configuration names and that are read again while the server runs.
fn named_files(site: &Site) -> Vec<PathBuf> {
    let machine = &site.machine;
    let mut names: Vec<&String> = Vec::new();
    names.extend(machine.tls.iter().flat_map(|tls| [&tls.certificate, &tls.key]));
    names.extend(&machine.beats.key_file);
    names.extend(machine.notify.iter().filter_map(|notify| notify.token_file.as_ref()));
    if let Some(fleet) = &machine.fleet {
        names.extend(&fleet.ca);
        names.extend(fleet.certificate.iter().flat_map(|own| [&own.chain, &own.key]));
        names.extend(match &fleet.login {
            Login::Anonymous => None,
            Login::Credentials(file) | Login::Nkey(file) | Login::Password { file, .. } => Some(file),
        });
    }
    let databases = machine.geo.databases.iter().flatten();
    names.into_iter().chain(databases).map(|name| site.beside(name)).collect()
}

/// A directory itself, and of a file its directory.
fn around(path: &Path) -> PathBuf {
    if path.is_dir() { path.to_owned() } else { above(path) }
}

/// The directory that something is in; of something in `/` only that: it would be everything.
fn above(path: &Path) -> PathBuf {
    let directory = path.parent().map(plain);
    directory.filter(|directory| directory.parent().is_some()).unwrap_or_else(|| path.to_owned())
}

/// The directory of what a symbolic link leads to in the end, if this is one: tomorrow it leads to what lies beside that.
fn led_to(path: &Path) -> Option<PathBuf> {
    if path.is_symlink() { Some(above(&path.canonicalize().ok()?)) } else { None }
}

/// What is in a directory now; of a very full one a part.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.take(ENTRIES_MAX).map(|entry| entry.path()).collect()
}

/// A directory as the system takes it.
fn plain(directory: &Path) -> PathBuf {
    if directory.as_os_str().is_empty() { ".".into() } else { directory.to_owned() }
}

/// Where the environment says that the roots of certificates are.
fn trusted() -> Vec<PathBuf> {
    let values = TRUST.iter().filter_map(std::env::var_os);
    values.flat_map(|value| std::env::split_paths(&value).collect::<Vec<_>>()).collect()
}

/// Asked of the system with the rights that are left. Whatever is not there is told elsewhere.
fn is_writable(directory: &Path) -> bool {
    !directory.exists() || access(directory, AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
}

fn is_unreadable(file: &Path) -> bool {
    fs::File::open(file).is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}

/// What the libraries that resolve names and verify certificates read, today or once it is replaced.
const SYSTEM: &[&str] = &[
    "/etc",
    "/usr",
    "/lib",
    "/lib64",
    "/nix/store",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/proc/self",
    "/sys/fs/cgroup",
    "/sys/devices/system/cpu",
    "/dev/urandom",
];

/// Often a symbolic link to somewhere in `/run`.
const RESOLVERS: &str = "/etc/resolv.conf";

/// Environment variables with files and directories of roots of certificates.
const TRUST: &[&str] = &["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Links in a directory of more entries may lead out of reach; `[sandbox] read` helps.
const ENTRIES_MAX: usize = 100_000;

const HINT: &str = "where the kernel has Landlock, only what the configuration names is in reach: add the directory to \
                    `read` in [sandbox], and restart";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::load;

    /// A site of this configuration in a directory of its own.
    fn site(config: &str) -> (tempfile::TempDir, Site) {
        let directory = tempfile::tempdir().expect("a directory");
        for name in ["config", "zones", "releases", "releases/41"] {
            fs::create_dir(directory.path().join(name)).expect("made");
        }
        let path = directory.path().join("config/windrose.toml");
        fs::write(&path, config).expect("written");
        let (site, _) = load::machine(Some(&path)).expect("it is right");
        (directory, site)
    }

    #[test]
    fn what_the_configuration_names_is_in_reach_with_what_comes_later_or_instead() {
        let (directory, site) = site(
            "zones = \"../live\"\n[tls]\ncertificate = \"/srv/tls/cert.pem\"\nkey = \"../keys/key.pem\"\n\
             listen_tls = \"127.0.0.1:0\"\n[geo]\ndatabases = [\"/srv/geo/city.mmdb\"]\n\
             [control]\nsocket = \"/run/w/w.sock\"\nlisten = \"127.0.0.1:5380\"\n\
             [sandbox]\nread = [\"../more\"]\nwrite = [\"/var/log/w\"]\n",
        );
        let path = |name: &str| directory.path().join(name);
        symlink(path("releases/41"), path("live")).expect("linked");
        let Reach { read, write, ports } = reach(&site);
        for expected in ["config", "live", "releases", "keys", "more"].map(path) {
            assert!(read.contains(&expected), "{} is not in {read:?}", expected.display());
        }
        for expected in ["/srv/tls", "/srv/geo", "/etc", "/usr"] {
            assert!(read.contains(&expected.into()), "{expected} is not in {read:?}");
        }
        assert!(!read.contains(&"/".into()) && !read.contains(&directory.path().into()), "{read:?}");
        assert_eq!(write, [path("state"), "/run/w".into(), "/var/log/w".into()]);
        assert_eq!(ports, [5380]);
    }

    #[test]
    fn a_file_in_the_root_directory_does_not_bring_everything_along() {
        assert_eq!(above(Path::new("/windrose.toml")), Path::new("/windrose.toml"));
        assert_eq!(above(Path::new("windrose.toml")), Path::new("."));
        assert_eq!(around(Path::new("/usr")), Path::new("/usr"));
    }
}
