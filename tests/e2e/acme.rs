//! Certificates by DNS-01 (RFC 8555 section 8.4): certbot and lego as they are, which put their tokens into our zone by
//! RFC 2136, and an ACME server, Pebble, which looks for them there.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::encrypted::write_pair;
use crate::transfer::{SECRET, key_file};
use crate::world::{Server, World, free_address, wait_until};

const KEY: &str = "acme";

/// What a client is to get a certificate for: with the second and the third, two tokens are at one name at a time.
const NAMES: [&str; 3] = ["www.example.org", "example.org", "*.example.org"];

/// An ACME server that asks us; killed when dropped.
struct Pebble {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Pebble {
    fn start(world: &World, resolver: SocketAddr) -> Self {
        let (address, management) = (free_address(), free_address());
        let config = format!(
            r#"{{"pebble": {{"listenAddress": "{address}", "managementListenAddress": "{management}",
                "certificate": "config/cert.pem", "privateKey": "config/key.pem", "httpPort": 1, "tlsPort": 1}}}}"#
        );
        fs::write(world.path("pebble.json"), config).expect("written");
        let path = world.path("pebble.log");
        let log = fs::File::create(&path).expect("a log");
        let child = Command::new("pebble")
            .args(["-config", "pebble.json", "-dnsserver", &resolver.to_string()])
            .current_dir(world.path("."))
            .envs([("PEBBLE_VA_NOSLEEP", "1"), ("PEBBLE_WFE_NONCEREJECT", "0")])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("pebble is installed (tools/test installs it)");
        let pebble = Self { child, address, log: path };
        wait_until("the ACME server listens", || std::net::TcpStream::connect(address).ok());
        pebble
    }

    fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.address.port())
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- pebble ---\n{}", fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

fn world() -> (World, Server, Pebble) {
    let world = World::new(&format!(
        "[probe]\nenabled = false\n[tsig]\nkeys = \"keys\"\n\
         [update]\nallow = [{{ key = \"{KEY}\", names = [\"_acme-challenge.*\"], types = [\"TXT\"] }}]\n"
    ));
    fs::write(world.path("config/keys"), key_file(KEY, SECRET)).expect("written");
    world.write_zone(
        "example.org.zone",
        "@ 3600 IN SOA ns1 hostmaster 1 7200 1800 1209600 300\n@ 3600 IN NS ns1\nns1 3600 IN A 127.0.0.1\n\
         www 60 IN A 192.0.2.1\n",
    );
    write_pair(&world, "localhost");
    let server = world.serve();
    let pebble = Pebble::start(&world, server.address);
    (world, server, pebble)
}

/// Runs a client; it must get its certificate, whose path is told.
fn gets(command: &mut Command, package: &str) {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{package}: {error} (tools/test installs it)"));
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{package}: {said}");
}

#[test]
fn certbot_gets_a_certificate_by_updates() {
    let (world, server, pebble) = world();
    assert_eq!(server.address.ip(), Ipv4Addr::LOCALHOST);
    let credentials = world.path("certbot.ini");
    let text = format!(
        "dns_rfc2136_server = 127.0.0.1\ndns_rfc2136_port = {}\ndns_rfc2136_name = {KEY}\n\
         dns_rfc2136_secret = {SECRET}\ndns_rfc2136_algorithm = HMAC-SHA256\n",
        server.address.port()
    );
    fs::write(&credentials, text).expect("written");
    let mut certbot = Command::new("certbot");
    certbot.args([
        "certonly",
        "--non-interactive",
        "--agree-tos",
        "-m",
        "hostmaster@example.org",
        "--no-eff-email",
    ]);
    certbot.args(["--server", &pebble.directory(), "--no-verify-ssl"]);
    for (option, directory) in [("--config-dir", "c"), ("--work-dir", "w"), ("--logs-dir", "l")] {
        certbot.arg(option).arg(world.path(directory));
    }
    certbot.args(["--dns-rfc2136", "--dns-rfc2136-propagation-seconds", "0"]);
    certbot.arg("--dns-rfc2136-credentials").arg(credentials);
    certbot.args(NAMES.iter().flat_map(|name| ["-d", name]));
    gets(&mut certbot, "python3-certbot-dns-rfc2136");
    let certificate = fs::read_to_string(world.path("c/live/www.example.org/fullchain.pem"));
    assert!(certificate.expect("a certificate").contains("BEGIN CERTIFICATE"));
    assert_left_clean(&server);
}

#[test]
fn lego_gets_a_certificate_by_updates() {
    let (world, server, pebble) = world();
    let mut lego = Command::new("lego");
    lego.args(["--accept-tos", "--email", "hostmaster@example.org", "--server", &pebble.directory()]);
    lego.arg("--path").arg(world.path("lego"));
    // Whether all servers of the zone have it is asked of port 53, which is not ours.
    lego.args(["--dns", "rfc2136", "--dns.disable-cp", "--dns.resolvers", &server.address.to_string()]);
    lego.args(NAMES.iter().flat_map(|name| ["--domains", name])).arg("run");
    lego.envs([
        ("LEGO_CA_CERTIFICATES", &*world.path("config/cert.pem").display().to_string()),
        // It waits a minute between two names otherwise.
        ("RFC2136_SEQUENCE_INTERVAL", "1"),
        ("RFC2136_POLLING_INTERVAL", "1"),
        ("RFC2136_NAMESERVER", &server.address.to_string()),
        ("RFC2136_TSIG_ALGORITHM", "hmac-sha256."),
        ("RFC2136_TSIG_KEY", KEY),
        ("RFC2136_TSIG_SECRET", SECRET),
    ]);
    gets(&mut lego, "lego");
    let certificate = fs::read_to_string(world.path("lego/certificates/www.example.org.crt"));
    assert!(certificate.expect("a certificate").contains("BEGIN CERTIFICATE"));
    assert_left_clean(&server);
}

/// Clients take their tokens away.
fn assert_left_clean(server: &Server) {
    for name in ["_acme-challenge.example.org", "_acme-challenge.www.example.org"] {
        assert_eq!(crate::query::dig(server.address, &[name, "TXT", "+short"]), "");
    }
}
