//! `[tls]`: where DNS is answered to those who encrypt, and who the server is to them.
//!
//! ```text
//!   certificate, key    PEM files; required
//!   listen_tls          DNS over TLS      usually port 853, TCP   \
//!   listen_quic         DNS over QUIC     usually port 853, UDP    > one of them at least
//!   listen_https        DNS over HTTPS    usually port 443, TCP   /   at https_path
//! ```

use std::net::SocketAddr;

use super::{LISTENER_PATTERN, listener, plain};
use crate::spec::Spanned;
use crate::spec::reader::{ListOf, MISSING_KEY, Problem, TEXT, Table, Written, key};

/// `[tls]`. Paths are as written: relative to the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Tls {
    /// `certificate`: a file with a chain of certificates, the server's own first.
    pub certificate: String,
    /// `key`: a file with the key of the first.
    pub key: String,
    /// `listen_tls`: DNS over TLS (RFC 7858); none if absent.
    pub listen_tls: Vec<SocketAddr>,
    /// `listen_quic`: DNS over QUIC (RFC 9250); none if absent.
    pub listen_quic: Vec<SocketAddr>,
    /// `listen_https`: DNS over HTTPS (RFC 8484); none if absent.
    pub listen_https: Vec<SocketAddr>,
    /// `https_path`: where queries are taken there; default `/dns-query`.
    pub https_path: String,
}

/// `None` if it lacks what it cannot do without; that is told.
pub(super) fn tls(table: &mut Table<'_>) -> Option<Tls> {
    let certificate =
        key("certificate", "A PEM file with the chain of certificates, the server's own first.");
    let certificate = table.required(certificate, TEXT);
    let private = table.required(key("key", "A PEM file with the key of the first certificate."), TEXT);
    let listen_tls = key("listen_tls", "Addresses and ports for DNS over TLS (RFC 7858).");
    let listen_tls = table.optional(listen_tls, ListOf::one_or_more(DNS_LISTENER));
    let listen_quic = key("listen_quic", "Addresses and ports for DNS over QUIC (RFC 9250).");
    let listen_quic = table.optional(listen_quic, ListOf::one_or_more(DNS_LISTENER));
    let listen_https = key("listen_https", "Addresses and ports for DNS over HTTPS (RFC 8484).");
    let listen_https = table.optional(listen_https, ListOf::one_or_more(HTTPS_LISTENER));
    let https_path = key("https_path", "The path where DNS over HTTPS takes queries.");
    let https_path = table.defaulted(https_path, PATH, DEFAULT_PATH.into());
    refuse_shared(table, [&listen_tls, &listen_https]);
    let nowhere = listen_tls.is_none() && listen_quic.is_none() && listen_https.is_none();
    let (certificate, private) = (certificate?, private?);
    if nowhere {
        let problem = Problem::new(MISSING_KEY, "a certificate, and no listener that shows it");
        table.error(certificate.span.clone(), problem.hint("add `listen_tls = [\"127.0.0.1:853\"]`"));
        return None;
    }
    Some(Tls {
        certificate: certificate.value,
        key: private.value,
        listen_tls: listen_tls.map(plain).unwrap_or_default(),
        listen_quic: listen_quic.map(plain).unwrap_or_default(),
        listen_https: listen_https.map(plain).unwrap_or_default(),
        https_path,
    })
}

type Listeners = Option<Spanned<Vec<Spanned<SocketAddr>>>>;

/// Both are TCP, and a port is one listener's.
fn refuse_shared(table: &mut Table<'_>, [tls, https]: [&Listeners; 2]) {
    let (Some(tls), Some(https)) = (tls, https) else { return };
    for address in &https.value {
        let shared = tls.value.iter().any(|other| other.value == address.value && other.value.port() != 0);
        if shared {
            let message = format!("{} is in `listen_tls` already", address.value);
            let problem = Problem::new("address-taken", message);
            table.error(address.span.clone(), problem.hint("DNS over HTTPS usually has port 443"));
        }
    }
}

/// An address to listen on for DNS over TLS or QUIC.
const DNS_LISTENER: Written<SocketAddr> = Written {
    expects: "an address and a port, as \"127.0.0.1:853\" or \"[::1]:853\"",
    pattern: LISTENER_PATTERN,
    parse: |text| listener(text, DNS_PORT, DNS_PORT),
};

/// An address to listen on for DNS over HTTPS.
const HTTPS_LISTENER: Written<SocketAddr> = Written {
    expects: "an address and a port, as \"127.0.0.1:443\" or \"[::1]:443\"",
    pattern: LISTENER_PATTERN,
    parse: |text| listener(text, HTTPS_PORT, HTTPS_PORT),
};

/// The path of a URL.
const PATH: Written<String> = Written {
    expects: "a path, as \"/dns-query\"",
    pattern: r"^/[!$&'()*+,\-./:;=@_~%0-9A-Za-z]*$",
    parse: |text| {
        let is_path = |octet: u8| octet.is_ascii_alphanumeric() || b"!$&'()*+,-./:;=@_~%".contains(&octet);
        if text.starts_with('/') && text.bytes().all(is_path) {
            return Ok(text.to_owned());
        }
        Err(Problem::new("bad-path", format!("`{text}` is no path of a URL"))
            .hint("write what stands between the port and `?` in the URL, as \"/dns-query\""))
    },
};

const DEFAULT_PATH: &str = "/dns-query";

const DNS_PORT: u16 = 853;

const HTTPS_PORT: u16 = 443;

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use crate::spec::Source;

    fn read(table: &str) -> (Option<Tls>, Vec<&'static str>) {
        let mut diagnostics = Vec::new();
        let text = format!("[tls]\n{table}");
        let machine = parse(&Source::new("config/windrose.toml", &text), &mut diagnostics);
        (machine.tls, diagnostics.iter().map(|found| found.code).collect())
    }

    #[test]
    fn what_is_written_holds_and_the_path_has_a_default() {
        let files = "certificate = \"cert.pem\"\nkey = \"key.pem\"\n";
        let (tls, wrong) = read(&format!("{files}listen_tls = [\"0.0.0.0:853\", \"[::]:853\"]\n"));
        let tls = tls.expect("a table");
        assert_eq!((wrong, tls.listen_tls.len(), &*tls.https_path), (vec![], 2, "/dns-query"));
        let (tls, wrong) = read(&format!(
            "{files}listen_quic = \"0.0.0.0:853\"\nlisten_https = \"0.0.0.0:443\"\nhttps_path = \"/q\"\n"
        ));
        let tls = tls.expect("a table");
        assert_eq!((wrong, tls.listen_quic.len(), &*tls.https_path), (vec![], 1, "/q"));
    }

    #[test]
    fn tls_needs_a_certificate_its_key_and_somewhere_to_listen() {
        assert_eq!(read("").1, ["missing-key", "missing-key"]);
        assert_eq!(read("certificate = \"c\"\nkey = \"k\"\n"), (None, vec!["missing-key"]));
        assert_eq!(read("key = \"k\"\nlisten_tls = \"[::1]:853\"\n").1, ["missing-key"]);
    }

    #[test]
    fn what_is_wrong_is_told() {
        let files = "certificate = \"c\"\nkey = \"k\"\n";
        for (line, code) in [
            ("listen_tls = \"127.0.0.1\"\n", "bad-address"),
            ("listen_https = \"[::1]:443\"\nhttps_path = \"dns-query\"\n", "bad-path"),
            ("listen_https = \"[::1]:443\"\nhttps_path = \"/dns?query\"\n", "bad-path"),
            ("listen_tls = \"[::1]:443\"\nlisten_https = \"[::1]:443\"\n", "address-taken"),
        ] {
            assert!(read(&format!("{files}{line}")).1.contains(&code), "{line}");
        }
        let free = "listen_tls = \"[::1]:0\"\nlisten_https = \"[::1]:0\"\n";
        assert_eq!(read(&format!("{files}{free}")).1, Vec::<&str>::new());
    }
}
