//! Reading a reply: strictly, and by no code of the server's. Whatever is malformed is an error that says what.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A reply, section by section. `Display` prints it as the cases have it.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    pub id: u16,
    pub flags: u16,
    /// Name, class and type.
    pub questions: Vec<(String, u16, u16)>,
    /// Answer, authority, additional (without OPT).
    pub sections: [Vec<Record>; 3],
    pub opt: Option<Opt>,
}

/// A record; its data as a zone file has it, for the types that are known here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    pub owner: String,
    pub rtype: u16,
    pub class: u16,
    pub ttl: u32,
    pub data: String,
}

/// An OPT record.
#[derive(Clone, Debug, PartialEq)]
pub struct Opt {
    pub payload: u16,
    pub extended_rcode: u8,
    pub version: u8,
    pub flags: u16,
    pub options: Vec<(u16, Vec<u8>)>,
}

impl Reply {
    /// Reads a whole message; nothing may follow it.
    pub fn read(octets: &[u8]) -> Result<Self, String> {
        let mut reader = Reader { octets, at: 0 };
        let [id, flags, questions, answers, authorities, additionals] = {
            let mut words = [0; 6];
            for word in &mut words {
                *word = reader.word()?;
            }
            words
        };
        let mut reply =
            Reply { id, flags, questions: Vec::new(), sections: [vec![], vec![], vec![]], opt: None };
        for _ in 0..questions {
            let (name, rtype, class) = (reader.name()?, reader.word()?, reader.word()?);
            reply.questions.push((name, class, rtype));
        }
        for (section, count) in [answers, authorities, additionals].into_iter().enumerate() {
            for _ in 0..count {
                reader.record(section, &mut reply)?;
            }
            reply.sections[section].sort();
        }
        if reader.at != octets.len() {
            return Err(format!("{} octets follow the message", octets.len() - reader.at));
        }
        Ok(reply)
    }

    /// The response code with what EDNS adds to it.
    pub fn rcode(&self) -> u16 {
        let extended = self.opt.as_ref().map_or(0, |opt| u16::from(opt.extended_rcode));
        extended << 4 | self.flags & 0xF
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", rcode_name(self.rcode()))?;
        for (bit, name) in FLAGS {
            if self.flags & bit != 0 {
                write!(f, " {name}")?;
            }
        }
        let opcode = self.flags >> 11 & 0xF;
        if opcode != 0 {
            write!(f, " opcode={opcode}")?;
        }
        for (name, class, rtype) in &self.questions {
            write!(f, "\nquestion {name} {} {}", class_name(*class), type_name(*rtype))?;
        }
        for (section, records) in ["answer", "authority", "additional"].into_iter().zip(&self.sections) {
            for record in records {
                write!(f, "\n{section} {record}")?;
            }
        }
        self.opt.iter().try_for_each(|opt| write!(f, "\n{opt}"))
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Record { owner, rtype, class, ttl, data } = self;
        write!(f, "{owner} {ttl} {} {} {data}", class_name(*class), type_name(*rtype))
    }
}

impl fmt::Display for Opt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "edns {} payload={} flags={:04x}", self.version, self.payload, self.flags)?;
        for (code, data) in &self.options {
            match (code, data.as_slice()) {
                (3, name) => write!(f, " nsid={}", String::from_utf8_lossy(name))?,
                // The server's part is another one each time.
                (10, [client @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _]) if client.len() == 8 => {
                    write!(f, " cookie={}+16", hex(client))?;
                }
                (15, [high, low, text @ ..]) => {
                    let code = u16::from_be_bytes([*high, *low]);
                    write!(f, " ede={code}:{}", String::from_utf8_lossy(text).replace(' ', "_"))?;
                }
                (code, data) => write!(f, " option={code}:{}", hex(data))?,
            }
        }
        Ok(())
    }
}

struct Reader<'o> {
    octets: &'o [u8],
    at: usize,
}

impl<'o> Reader<'o> {
    fn take(&mut self, count: usize) -> Result<&'o [u8], String> {
        let taken = self.octets.get(self.at..self.at + count);
        self.at += count;
        taken.ok_or_else(|| format!("it ends within {count} octets at {}", self.at - count))
    }

    fn word(&mut self) -> Result<u16, String> {
        self.take(2).map(|word| u16::from_be_bytes([word[0], word[1]]))
    }

    fn long(&mut self) -> Result<u32, String> {
        Ok(u32::from(self.word()?) << 16 | u32::from(self.word()?))
    }

    /// A name; pointers lead backwards only (RFC 1035 section 4.1.4).
    fn name(&mut self) -> Result<String, String> {
        let (mut text, mut at, mut after, mut limit) = (String::new(), self.at, None, self.at);
        loop {
            let octet = *self.octets.get(at).ok_or("it ends within a name")?;
            match octet {
                0 => break,
                1..=63 => {
                    let label = self.octets.get(at + 1..at + 1 + usize::from(octet));
                    text.push_str(&label_text(label.ok_or("it ends within a label")?));
                    at += 1 + usize::from(octet);
                }
                0xC0.. => {
                    let low = *self.octets.get(at + 1).ok_or("it ends within a pointer")?;
                    after.get_or_insert(at + 2);
                    at = usize::from(u16::from_be_bytes([octet & 0x3F, low]));
                    if at >= limit {
                        return Err(format!("a pointer to {at} does not lead backwards"));
                    }
                    limit = at;
                }
                _ => return Err(format!("a label of the kind {octet:#x}")),
            }
        }
        self.at = after.unwrap_or(at + 1);
        Ok(if text.is_empty() { ".".to_string() } else { text })
    }

    fn record(&mut self, section: usize, reply: &mut Reply) -> Result<(), String> {
        let owner = self.name()?;
        let (rtype, class, ttl) = (self.word()?, self.word()?, self.long()?);
        let length = usize::from(self.word()?);
        let end = self.at + length;
        if rtype == 41 {
            if section != 2 || owner != "." || reply.opt.is_some() {
                return Err("an OPT record out of place".to_string());
            }
            let [extended_rcode, version, ..] = ttl.to_be_bytes();
            let mut options = Vec::new();
            while self.at < end {
                let (code, length) = (self.word()?, self.word()?);
                options.push((code, self.take(usize::from(length))?.to_vec()));
            }
            reply.opt = Some(Opt { payload: class, extended_rcode, version, flags: ttl as u16, options });
        } else {
            let data = self.data(rtype, length)?;
            reply.sections[section].push(Record { owner, rtype, class, ttl, data });
        }
        if self.at != end {
            return Err(format!("the length of a record of type {rtype} is wrong"));
        }
        Ok(())
    }

    fn data(&mut self, rtype: u16, length: usize) -> Result<String, String> {
        match rtype {
            1 if length == 4 => self.long().map(|address| Ipv4Addr::from_bits(address).to_string()),
            2 | 5 | 12 | 39 => self.name(),
            6 => {
                let (server, mailbox) = (self.name()?, self.name()?);
                let numbers = (0..5).map(|_| self.long().map(|number| number.to_string()));
                Ok(format!("{server} {mailbox} {}", numbers.collect::<Result<Vec<_>, _>>()?.join(" ")))
            }
            15 => Ok(format!("{} {}", self.word()?, self.name()?)),
            28 if length == 16 => {
                let octets: [u8; 16] = self.take(16)?.try_into().map_err(|_| "an address")?;
                Ok(Ipv6Addr::from(octets).to_string())
            }
            33 => Ok(format!("{} {} {} {}", self.word()?, self.word()?, self.word()?, self.name()?)),
            16 => {
                let mut rest = self.take(length)?;
                let mut texts = Vec::new();
                while let Some((count, after)) = rest.split_first() {
                    let (text, after) = after.split_at_checked(usize::from(*count)).ok_or("a text is cut")?;
                    texts.push(format!("{:?}", String::from_utf8_lossy(text)));
                    rest = after;
                }
                Ok(texts.join(" "))
            }
            _ => Ok(format!("\\# {length} {}", hex(self.take(length)?)).trim_end().to_string()),
        }
    }
}

fn label_text(label: &[u8]) -> String {
    let character = |octet: &u8| match octet {
        b'.' | b'\\' => format!("\\{}", *octet as char),
        b'!'..=b'~' => (*octet as char).to_string(),
        _ => format!("\\{octet:03}"),
    };
    label.iter().map(character).collect::<String>() + "."
}

/// Octets in hexadecimal.
pub fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// A type's number, from its name or `TYPE` and the number.
pub fn type_number(name: &str) -> Option<u16> {
    let known = TYPES.iter().find(|(_, known)| *known == name).map(|(number, _)| *number);
    known.or_else(|| name.strip_prefix("TYPE")?.parse().ok())
}

/// A type's name, or `TYPE` and its number.
pub fn type_name(number: u16) -> String {
    let known = TYPES.iter().find(|(known, _)| *known == number);
    known.map_or_else(|| format!("TYPE{number}"), |(_, name)| (*name).to_string())
}

/// A response code's name.
pub fn rcode_name(number: u16) -> String {
    let known = RCODES.iter().find(|(known, _)| *known == number);
    known.map_or_else(|| format!("RCODE{number}"), |(_, name)| (*name).to_string())
}

fn class_name(number: u16) -> String {
    match number {
        1 => "IN".to_string(),
        3 => "CH".to_string(),
        _ => format!("CLASS{number}"),
    }
}

const FLAGS: [(u16, &str); 8] = [
    (0x8000, "qr"),
    (0x0400, "aa"),
    (0x0200, "tc"),
    (0x0100, "rd"),
    (0x0080, "ra"),
    (0x0040, "z"),
    (0x0020, "ad"),
    (0x0010, "cd"),
];

const RCODES: [(u16, &str); 13] = [
    (0, "NOERROR"),
    (1, "FORMERR"),
    (2, "SERVFAIL"),
    (3, "NXDOMAIN"),
    (4, "NOTIMP"),
    (5, "REFUSED"),
    (6, "YXDOMAIN"),
    (7, "YXRRSET"),
    (8, "NXRRSET"),
    (9, "NOTAUTH"),
    (10, "NOTZONE"),
    (16, "BADVERS"),
    (23, "BADCOOKIE"),
];

/// Those that the cases and the generated queries ask for.
pub const TYPES: [(u16, &str); 37] = [
    (1, "A"),
    (2, "NS"),
    (3, "MD"),
    (5, "CNAME"),
    (6, "SOA"),
    (10, "NULL"),
    (12, "PTR"),
    (13, "HINFO"),
    (15, "MX"),
    (16, "TXT"),
    (17, "RP"),
    (25, "KEY"),
    (28, "AAAA"),
    (29, "LOC"),
    (33, "SRV"),
    (35, "NAPTR"),
    (37, "CERT"),
    (39, "DNAME"),
    (41, "OPT"),
    (43, "DS"),
    (44, "SSHFP"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (50, "NSEC3"),
    (52, "TLSA"),
    (59, "CDS"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (99, "SPF"),
    (108, "EUI48"),
    (249, "TKEY"),
    (250, "TSIG"),
    (251, "IXFR"),
    (252, "AXFR"),
    (255, "ANY"),
    (257, "CAA"),
];
