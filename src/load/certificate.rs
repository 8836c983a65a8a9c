//! The certificate that encrypted listeners show, and its key, from PEM files: read, checked as one, and
//! noticed when they change.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Site;
use crate::spec::Diagnostic;

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// As TLS takes it.
    pub certified: Arc<CertifiedKey>,
    /// When it ends.
    pub ends: SystemTime,
}

/// Where they are, and how the files looked last.
#[derive(Debug)]
pub struct CertificateFiles {
    certificate: PathBuf,
    key: PathBuf,
    settled: Look,
    last: Look,
}

/// For each file what changes when it does; `None`: it is not there.
type Look = [Option<(u64, u64, i64, i64)>; 2];

impl CertificateFiles {
    /// Those that a site names; `None`: it names none.
    pub fn of(site: &Site) -> Option<Self> {
        let tls = site.machine.tls.as_ref()?;
        Some(Self::new(site.beside(&tls.certificate), site.beside(&tls.key)))
    }

    fn new(certificate: PathBuf, key: PathBuf) -> Self {
        let look = [look(&certificate), look(&key)];
        Self { certificate, key, settled: look, last: look }
    }

    /// Reads both.
    ///
    /// # Errors
    /// In words that name the file: it cannot be read, holds something else, or the two do not belong together.
    pub fn read(&self) -> Result<Certificate, String> {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        let text = read(&self.certificate)?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("{certificate} is no PEM: {error}"))?;
        let first = chain.first().ok_or_else(|| format!("{certificate} holds no certificate"))?;
        let ends = end_of(first).ok_or_else(|| format!("{certificate} holds a malformed certificate"))?;
        let text = read(&self.key)?;
        let private = PrivateKeyDer::from_pem_slice(&text)
            .map_err(|error| format!("{key} holds no private key: {error}"))?;
        let certified = CertifiedKey::from_der(chain, private, &ring::default_provider());
        let certified = certified.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => format!("the key in {key} is not that of {certificate}"),
            error => format!("{certificate} and {key} cannot be used: {error}"),
        })?;
        Ok(Certificate { certified: Arc::new(certified), ends })
    }

    /// Looks. True once for each change, and only when two looks in a row see the same: somebody who writes
    /// one file after the other is not interrupted.
    pub fn changed(&mut self) -> bool {
        let now = [look(&self.certificate), look(&self.key)];
        let still = now == self.last;
        self.last = now;
        let changed = still && now != self.settled;
        if changed {
            self.settled = now;
        }
        changed
    }
}

impl Certificate {
    /// How long it still holds; `None`: it has ended.
    pub fn left(&self, now: SystemTime) -> Option<Duration> {
        self.ends.duration_since(now).ok()
    }
}

/// What is wrong with the certificate of a site, or will be soon; nothing if it names none.
pub fn diagnostics(site: &Site, now: SystemTime) -> Vec<Diagnostic> {
    let Some(files) = CertificateFiles::of(site) else { return Vec::new() };
    let path = files.certificate.display();
    let soon = |left: &Duration| *left < SOON;
    match files.read() {
        Err(error) => vec![Diagnostic::general("certificate", error).hint(HINT)],
        Ok(certificate) => match certificate.left(now) {
            None => vec![Diagnostic::general_warning("certificate", format!("{path} has ended")).hint(RENEW)],
            Some(left) if soon(&left) => {
                let days = left.as_secs() / DAY.as_secs();
                let message = format!("{path} ends in {days} days");
                vec![Diagnostic::general_warning("certificate", message).hint(RENEW)]
            }
            Some(_) => Vec::new(),
        },
    }
}

fn look(path: &Path) -> Option<(u64, u64, i64, i64)> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
}

/// What is longer is neither.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let long = || io::Error::new(io::ErrorKind::FileTooLarge, "it is too long for a certificate or a key");
    let read = fs::metadata(path).and_then(|meta| match meta.len() {
        0..=LENGTH_MAX => fs::read(path),
        _ => Err(long()),
    });
    read.map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn end_of(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let seconds = certificate.validity().not_after.timestamp().try_into().ok()?;
    Some(UNIX_EPOCH + Duration::from_secs(seconds))
}

const HINT: &str = "`[tls]` needs a chain of certificates and the key of the first, both as PEM, readable by the \
                    user that the server runs as";
const RENEW: &str = "renew it: the server takes the new one when the files change";
/// Octets; chains have a few thousand.
const LENGTH_MAX: u64 = 1 << 20;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Less than those who renew by themselves leave.
const SOON: Duration = Duration::from_secs(14 * DAY.as_secs());

#[cfg(test)]
mod tests {
    use rcgen::generate_simple_self_signed;

    use super::*;

    /// A certificate and its key as PEM.
    fn pair() -> (String, String) {
        let made = generate_simple_self_signed(["ns1.example.net".to_string()]).expect("a certificate");
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    struct Files {
        directory: tempfile::TempDir,
    }

    impl Files {
        fn new(certificate: &str, key: &str) -> Self {
            let files = Self { directory: tempfile::tempdir().expect("a directory") };
            files.write("cert.pem", certificate);
            files.write("key.pem", key);
            files
        }

        fn write(&self, name: &str, text: &str) {
            let new = self.directory.path().join("new");
            fs::write(&new, text).expect("written");
            fs::rename(new, self.directory.path().join(name)).expect("renamed");
        }

        fn watched(&self) -> CertificateFiles {
            CertificateFiles::new(
                self.directory.path().join("cert.pem"),
                self.directory.path().join("key.pem"),
            )
        }
    }

    #[test]
    fn a_certificate_and_its_key_are_read() {
        let (certificate, key) = pair();
        let read = Files::new(&certificate, &key).watched().read().expect("a pair");
        assert!(read.left(SystemTime::now()).is_some());
        assert_eq!(read.certified.cert.len(), 1);
    }

    #[test]
    fn what_is_wrong_with_the_files_is_told_with_their_names() {
        let (certificate, key) = pair();
        let (_, of_another) = pair();
        for (certificate, key, told) in [
            ("", &*key, "cert.pem holds no certificate"),
            (&*key, &*key, "cert.pem holds no certificate"),
            (&*certificate, "", "key.pem holds no private key"),
            (&*certificate, &*of_another, "key.pem is not that of"),
            ("-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n", &*key, "cert.pem is no PEM"),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                &*key,
                "malformed certificate",
            ),
        ] {
            let error = Files::new(certificate, key).watched().read().expect_err("something is wrong");
            assert!(error.contains(told), "{told}: {error}");
        }
        let missing = CertificateFiles::new("no/such/cert.pem".into(), "no/such/key.pem".into());
        assert!(missing.read().expect_err("no file").contains("no/such/cert.pem"));
    }

    #[test]
    fn a_change_is_told_once_both_files_stand_still() {
        let (certificate, key) = pair();
        let files = Files::new(&certificate, &key);
        let mut watched = files.watched();
        assert!(!watched.changed());
        let (certificate, key) = pair();
        files.write("cert.pem", &certificate);
        assert!(!watched.changed());
        files.write("key.pem", &key);
        assert!(!watched.changed(), "the other one may still be being written");
        assert!(watched.changed());
        assert!(!watched.changed(), "only once");
        fs::remove_file(files.directory.path().join("key.pem")).expect("removed");
        assert!(!watched.changed());
        assert!(watched.changed());
    }
}
