//! DNS cookies (RFC 7873) that all servers of an anycast set understand (RFC 9018): a client that repeats what we told
//! it can be nobody but whoever has its address, and is not limited.
//!
//! ```text
//!   | client's, 8 octets | version 1, reserved | time | SipHash-2-4 of all this and the client's address |
//!                         `-------------- the server's part, 16 octets ------------------------------'
//! ```
//!
//! Nothing is kept for a client. A secret is 16 octets; of several the first is what we make cookies with, and those
//! made with any of them hold, so that a secret can be changed on one server after the other.

use std::fmt;
use std::net::IpAddr;

use siphasher::sip::SipHasher24;

/// What cookies are made with, the one in use first.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets(Vec<[u8; SECRET]>);

/// What a client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// Its own part.
    pub client: [u8; CLIENT],
    /// What it says that we told it; `None`: nothing, or what cannot be ours.
    pub server: Option<[u8; SERVER]>,
    /// It said something that may or may not be ours.
    pub has_server: bool,
}

/// A whole cookie, as it stands in a reply.
pub type Whole = [u8; CLIENT + SERVER];

impl Secrets {
    /// One that nobody else knows, for a server alone; `None`: the system has no random numbers.
    pub fn drawn() -> Option<Self> {
        let mut secret = [0; SECRET];
        let random = rustls::crypto::ring::default_provider().secure_random;
        random.fill(&mut secret).ok().map(|()| Self(vec![secret]))
    }

    /// The secrets of a file: 32 hexadecimal digits a line, the one in use first. Empty lines and `#` are passed over.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut secrets = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let secret = unhex(line);
            secrets.push(secret.ok_or_else(|| format!("line {} is not 32 hexadecimal digits", number + 1))?);
        }
        match secrets.len() {
            0 => Err("there is no secret".to_string()),
            1..=SECRETS_MAX => Ok(Self(secrets)),
            _ => Err(format!("there are more than {SECRETS_MAX} secrets")),
        }
    }

    /// The cookie for a reply at this time (in seconds of Unix), and whether the client's own was a good one.
    pub fn answer(&self, told: &Cookie, address: IpAddr, now: u32) -> (Whole, bool) {
        let made_with = told.server.and_then(|server| self.made_with(told.client, server, address, now));
        let server = match (made_with, told.server) {
            // Young and of the secret in use: it is told again.
            (Some((0, age)), Some(server)) if age < RENEW_AFTER => server,
            _ => self.make(told.client, address, now),
        };
        let mut whole = [0; CLIENT + SERVER];
        whole[..CLIENT].copy_from_slice(&told.client);
        whole[CLIENT..].copy_from_slice(&server);
        (whole, made_with.is_some())
    }

    /// Which secret a cookie was made with, and its age; `None`: it does not hold.
    fn made_with(
        &self,
        client: [u8; CLIENT],
        server: [u8; SERVER],
        address: IpAddr,
        now: u32,
    ) -> Option<(usize, i32)> {
        let [version, _, _, _, time @ .., _, _, _, _, _, _, _, _] = server;
        // Serial numbers (RFC 1982): it holds beyond the year 2106.
        let age = now.wrapping_sub(u32::from_be_bytes(time)) as i32;
        if version != VERSION || !(-AHEAD_MAX..=AGE_MAX).contains(&age) {
            return None;
        }
        let made =
            |secret: &[u8; SECRET]| hash(secret, client, &server[..HASHED], address) == server[HASHED..];
        self.0.iter().position(made).map(|index| (index, age))
    }

    fn make(&self, client: [u8; CLIENT], address: IpAddr, now: u32) -> [u8; SERVER] {
        let mut server = [0; SERVER];
        server[0] = VERSION;
        server[4..HASHED].copy_from_slice(&now.to_be_bytes());
        if let Some(secret) = self.0.first() {
            let hash = hash(secret, client, &server[..HASHED], address);
            server[HASHED..].copy_from_slice(&hash);
        }
        server
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

impl Cookie {
    /// Reads the option's data; `None`: its length is none that a cookie has (RFC 7873 section 5.2.2).
    pub fn read(data: &[u8]) -> Option<Self> {
        let (client, server) = data.split_first_chunk::<CLIENT>()?;
        let has_server = !server.is_empty();
        if has_server && !SERVER_LENGTHS.contains(&server.len()) {
            return None;
        }
        Some(Self { client: *client, server: server.try_into().ok(), has_server })
    }
}

/// RFC 9018 section 4.4.
fn hash(secret: &[u8; SECRET], client: [u8; CLIENT], server: &[u8], address: IpAddr) -> [u8; 8] {
    let mut hashed = [0; CLIENT + HASHED + 16];
    hashed[..CLIENT].copy_from_slice(&client);
    hashed[CLIENT..CLIENT + HASHED].copy_from_slice(server);
    let address_at = CLIENT + HASHED;
    let length = match address {
        IpAddr::V4(address) => {
            hashed[address_at..address_at + 4].copy_from_slice(&address.octets());
            address_at + 4
        }
        IpAddr::V6(address) => {
            hashed[address_at..].copy_from_slice(&address.octets());
            hashed.len()
        }
    };
    SipHasher24::new_with_key(secret).hash(&hashed[..length]).to_le_bytes()
}

fn unhex(text: &str) -> Option<[u8; SECRET]> {
    let mut secret = [0; SECRET];
    if text.len() != 2 * SECRET || !text.is_ascii() {
        return None;
    }
    for (index, octet) in secret.iter_mut().enumerate() {
        *octet = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(secret)
}

/// Octets of the client's part.
const CLIENT: usize = 8;
/// Octets of our part; others may make longer or shorter ones.
const SERVER: usize = 16;
const SERVER_LENGTHS: std::ops::RangeInclusive<usize> = 8..=32;
/// Octets of our part before its hash.
const HASHED: usize = 8;
/// Octets of a secret.
pub const SECRET: usize = 16;
/// More are not needed to change one, and each is tried for a cookie that does not hold.
const SECRETS_MAX: usize = 4;
const VERSION: u8 = 1;
/// Seconds that a cookie holds (RFC 9018 section 4.3).
const AGE_MAX: i32 = 3600;
/// Seconds that the clock of another server may be ahead of ours.
const AHEAD_MAX: i32 = 300;
/// An older cookie is replaced by a new one in time.
const RENEW_AFTER: i32 = 1800;

#[cfg(test)]
mod tests {
    use super::*;

    fn octets<const N: usize>(hex: &str) -> [u8; N] {
        std::array::from_fn(|index| {
            u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).expect("hexadecimal")
        })
    }

    fn secrets(lines: &[&str]) -> Secrets {
        Secrets::read(&lines.join("\n")).expect("secrets")
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// The secret and a cookie of RFC 9018 appendix A.1.
    const OLD: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";
    const NEW: &str = "dd3bdf9344b678b185a6f5cb60fca715";
    const CLIENT_PART: &str = "2464c4abcf10c957";
    const MADE_AT: u32 = 1_559_731_985;

    #[test]
    fn a_cookie_is_made_as_in_rfc_9018_a_1() {
        let told = Cookie::read(&octets::<8>(CLIENT_PART)).expect("a cookie");
        let (cookie, good) = secrets(&[OLD]).answer(&told, address("198.51.100.100"), MADE_AT);
        assert_eq!(cookie, octets("2464c4abcf10c957010000005cf79f111f8130c3eee29480"));
        assert!(!good, "a client's part alone proves nothing");
    }

    fn made(by: &Secrets, to: &str, at: u32) -> Cookie {
        let told = Cookie::read(&octets::<8>(CLIENT_PART)).expect("a cookie");
        Cookie::read(&by.answer(&told, address(to), at).0).expect("a cookie")
    }

    #[test]
    fn a_cookie_holds_for_an_hour_for_its_address_and_is_renewed_after_half_of_it() {
        let secrets = secrets(&[OLD]);
        let here = "2001:db8::1";
        let told = made(&secrets, here, MADE_AT);
        let answer = |to: &str, later: i64| {
            let (whole, good) = secrets.answer(&told, address(to), (i64::from(MADE_AT) + later) as u32);
            (good, Some(&whole[8..]) == told.server.as_ref().map(|server| &server[..]))
        };
        assert_eq!(answer(here, 0), (true, true));
        assert_eq!(answer(here, 1799), (true, true));
        assert_eq!(answer(here, 1801), (true, false));
        assert_eq!(answer(here, 3600), (true, false));
        assert_eq!(answer(here, 3601), (false, false));
        assert_eq!(answer(here, -300), (true, true), "another server's clock");
        assert_eq!(answer(here, -301), (false, false));
        assert_eq!(answer("2001:db8::2", 0), (false, false), "somebody else's");
    }

    #[test]
    fn a_secret_is_changed_without_a_cookie_that_stops_holding() {
        let to = "192.0.2.1";
        let told = made(&secrets(&[OLD]), to, MADE_AT);
        // First all servers learn the new secret, then they use it, then they forget the old one.
        assert!(secrets(&[OLD, NEW]).answer(&told, address(to), MADE_AT + 1).1);
        let (renewed, good) = secrets(&[NEW, OLD]).answer(&told, address(to), MADE_AT + 1);
        assert!(good);
        let renewed = Cookie::read(&renewed).expect("a cookie");
        assert_ne!(renewed, told, "of the new secret");
        assert!(secrets(&[OLD, NEW]).answer(&renewed, address(to), MADE_AT + 2).1);
        assert!(secrets(&[NEW]).answer(&renewed, address(to), MADE_AT + 2).1);
        assert!(!secrets(&[NEW]).answer(&told, address(to), MADE_AT + 2).1);
    }

    #[test]
    fn a_cookie_has_8_octets_or_16_to_40() {
        for length in 0..50 {
            let good = length == 8 || (16..=40).contains(&length);
            assert_eq!(Cookie::read(&vec![1; length]).is_some(), good, "{length}");
        }
    }

    #[test]
    fn a_file_of_secrets_is_read_or_told_what_is_wrong() {
        assert_eq!(Secrets::read(&format!("# old\n\n{OLD}\n{NEW}\n")).map(|read| read.0.len()), Ok(2));
        assert_eq!(Secrets::read("\n# none"), Err("there is no secret".into()));
        assert_eq!(Secrets::read(&format!("{OLD}\nabc")), Err("line 2 is not 32 hexadecimal digits".into()));
        assert!(Secrets::read(&format!("{OLD}\n").repeat(5)).is_err());
        assert_eq!(format!("{:?}", secrets(&[OLD])), "1 secrets", "nothing that is secret is printed");
    }
}
