//! Making a query from the words of a case, wrong ones too.
//!
//! ```text
//!   NAME TYPE [class=N] [opcode=N] [flags=HEX] [qd=N an=N ns=N ar=N]         counts as they are to be said
//!             [question=NAME/TYPE] [answer=HEX] [authority=HEX] [additional=HEX]   more of it, before the OPT
//!             [edns[=VERSION]] [payload=N] [eflags=HEX] [option=CODE[:HEX]] [edns2]      an OPT record, or two
//!             [cut=N] [tail=HEX]                                             so many octets less; rubbish behind
//!   raw HEX                                                                  all that follows the ID
//! ```
//!
//! `udp` or `tcp` among the words: over that transport only.

use crate::reply::type_number;

/// The packet that the words tell of, with this ID.
pub fn packet(words: &str, id: u16) -> Result<Vec<u8>, String> {
    let mut query = Query::default();
    let mut words = words.split_whitespace().filter(|word| !["udp", "tcp"].contains(word));
    let first = words.next().ok_or("there is no name")?;
    if first == "raw" {
        let octets = unhex(words.next().unwrap_or_default())?;
        return Ok([&id.to_be_bytes()[..], &octets].concat());
    }
    let qtype = words.next().ok_or("there is no type")?;
    query.ask(first, qtype)?;
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        query.word(key, value).map_err(|error| format!("{word}: {error}"))?;
    }
    Ok(query.packet(id))
}

/// A query that is being put together.
struct Query {
    flags: u16,
    class: u16,
    questions: Vec<Vec<u8>>,
    sections: [Vec<Vec<u8>>; 3],
    /// What to say instead of how many there are.
    counts: [Option<u16>; 4],
    /// How many OPT records.
    opts: usize,
    version: u8,
    payload: u16,
    edns_flags: u16,
    options: Vec<u8>,
    cut: usize,
    tail: Vec<u8>,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            flags: 0,
            class: 1,
            questions: Vec::new(),
            sections: [vec![], vec![], vec![]],
            counts: [None; 4],
            opts: 0,
            version: 0,
            payload: 1232,
            edns_flags: 0,
            options: Vec::new(),
            cut: 0,
            tail: Vec::new(),
        }
    }
}

impl Query {
    fn ask(&mut self, name: &str, qtype: &str) -> Result<(), String> {
        let qtype = type_number(qtype).ok_or_else(|| format!("there is no type {qtype}"))?;
        let class_comes_later = [0, 0];
        self.questions.push([&wire_name(name)?[..], &qtype.to_be_bytes(), &class_comes_later].concat());
        Ok(())
    }

    fn word(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "class" => self.class = number(value)?,
            "opcode" => self.flags |= number(value)? << 11,
            "flags" => self.flags |= hex_number(value)?,
            "qd" => self.counts[0] = Some(number(value)?),
            "an" => self.counts[1] = Some(number(value)?),
            "ns" => self.counts[2] = Some(number(value)?),
            "ar" => self.counts[3] = Some(number(value)?),
            "question" => {
                let (name, qtype) = value.split_once('/').ok_or("a name and a type")?;
                self.ask(name, qtype)?;
            }
            "answer" => self.sections[0].push(unhex(value)?),
            "authority" => self.sections[1].push(unhex(value)?),
            "additional" => self.sections[2].push(unhex(value)?),
            "edns" => {
                self.opts = self.opts.max(1);
                self.version = if value.is_empty() { 0 } else { number(value)? as u8 };
            }
            "edns2" => self.opts = 2,
            "payload" => self.payload = number(value)?,
            "eflags" => self.edns_flags = hex_number(value)?,
            "option" => {
                let (code, data) = value.split_once(':').unwrap_or((value, ""));
                let data = unhex(data)?;
                self.options.extend(number(code)?.to_be_bytes());
                self.options.extend((data.len() as u16).to_be_bytes());
                self.options.extend(data);
            }
            "options" => self.options.extend(unhex(value)?),
            "cut" => self.cut = usize::from(number(value)?),
            "tail" => self.tail = unhex(value)?,
            _ => return Err("no such word".to_string()),
        }
        Ok(())
    }

    fn packet(mut self, id: u16) -> Vec<u8> {
        for question in &mut self.questions {
            let class_at = question.len() - 2;
            question[class_at..].copy_from_slice(&self.class.to_be_bytes());
        }
        let mut opt = vec![0, 0, 41];
        opt.extend(self.payload.to_be_bytes());
        opt.extend([0, self.version]);
        opt.extend(self.edns_flags.to_be_bytes());
        opt.extend((self.options.len() as u16).to_be_bytes());
        opt.extend(&self.options);
        self.sections[2].extend(std::iter::repeat_n(opt, self.opts));
        let parts = [&self.questions, &self.sections[0], &self.sections[1], &self.sections[2]];
        let mut packet = [id.to_be_bytes(), self.flags.to_be_bytes()].concat();
        for (part, said) in parts.into_iter().zip(self.counts) {
            packet.extend(said.unwrap_or(part.len() as u16).to_be_bytes());
        }
        packet.extend(parts.into_iter().flatten().flatten());
        packet.truncate(packet.len() - self.cut);
        packet.extend(self.tail);
        packet
    }
}

/// A name in wire form; `\DDD` is an octet.
pub fn wire_name(text: &str) -> Result<Vec<u8>, String> {
    let mut wire = Vec::new();
    for label in text.trim_end_matches('.').split('.').filter(|label| !label.is_empty()) {
        let mut octets = Vec::new();
        let mut rest = label;
        while let Some(character) = rest.chars().next() {
            rest = &rest[1..];
            if character == '\\' {
                octets.push(rest[..3].parse().map_err(|_| format!("{label}: no octet"))?);
                rest = &rest[3..];
            } else {
                octets.push(character as u8);
            }
        }
        wire.push(octets.len() as u8);
        wire.extend(octets);
    }
    wire.push(0);
    Ok(wire)
}

fn number(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

fn hex_number(text: &str) -> Result<u16, String> {
    u16::from_str_radix(text, 16).map_err(|_| format!("{text} is no hexadecimal number"))
}

fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let octet = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len())
        .step_by(2)
        .map(|at| octet(at).ok_or_else(|| format!("{text} is not hexadecimal")))
        .collect()
}
