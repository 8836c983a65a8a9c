//! The rules that place clients, and the codes that they name.

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;

/// One rule that places clients. The kinds are in the order of their precedence: what comes first here
/// beats what comes later, whatever the region.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Matcher {
    /// `net:198.51.100.0/24`: an address prefix. The longest match wins.
    Net(IpNet),
    /// `asn:64500`: the autonomous system that announces the client's network.
    Asn(u32),
    /// `subdivision:US-CA`: a state or province, by its ISO 3166-2 code.
    Subdivision(Subdivision),
    /// `country:DE`: a country, by its ISO 3166-1 code.
    Country(Country),
    /// `continent:EU`: a continent.
    Continent(Continent),
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Matcher::Net(net) => write!(f, "net:{net}"),
            Matcher::Asn(number) => write!(f, "asn:{number}"),
            Matcher::Subdivision(subdivision) => write!(f, "subdivision:{subdivision}"),
            Matcher::Country(country) => write!(f, "country:{country}"),
            Matcher::Continent(continent) => write!(f, "continent:{continent}"),
        }
    }
}

/// A country: two capital letters (ISO 3166-1 alpha-2, and what databases use beside it, as `XK`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Country([u8; 2]);

impl Country {
    /// The letters.
    pub fn code(&self) -> &str {
        text(&self.0)
    }
}

impl FromStr for Country {
    type Err = NoCode;

    /// Two letters in either case.
    fn from_str(text: &str) -> Result<Self, NoCode> {
        match *text.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Ok(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => Err(NoCode),
        }
    }
}

/// A part of a country, as ISO 3166-2 has it: `US-CA`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subdivision {
    country: Country,
    /// One to three letters or digits; the rest is 0.
    part: [u8; 3],
}

impl Subdivision {
    /// A part of a country, by what follows the hyphen.
    pub fn of(country: Country, part: &str) -> Option<Self> {
        let fits = (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        fits.then(|| {
            let mut kept = [0; 3];
            kept[..part.len()].copy_from_slice(part.to_ascii_uppercase().as_bytes());
            Self { country, part: kept }
        })
    }

    /// The country that it is a part of.
    pub fn country(self) -> Country {
        self.country
    }
}

impl FromStr for Subdivision {
    type Err = NoCode;

    /// A country, a hyphen and one to three letters or digits, in either case.
    fn from_str(text: &str) -> Result<Self, NoCode> {
        let (country, part) = text.split_once('-').ok_or(NoCode)?;
        Self::of(country.parse()?, part).ok_or(NoCode)
    }
}

/// A continent, as databases name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Continent {
    /// `AF`
    Africa,
    /// `AN`
    Antarctica,
    /// `AS`
    Asia,
    /// `EU`
    Europe,
    /// `NA`
    NorthAmerica,
    /// `OC`
    Oceania,
    /// `SA`
    SouthAmerica,
}

impl Continent {
    /// All of them, in the order of their codes.
    pub const ALL: [Continent; 7] = [
        Continent::Africa,
        Continent::Antarctica,
        Continent::Asia,
        Continent::Europe,
        Continent::NorthAmerica,
        Continent::Oceania,
        Continent::SouthAmerica,
    ];

    /// Two capital letters.
    pub fn code(self) -> &'static str {
        match self {
            Continent::Africa => "AF",
            Continent::Antarctica => "AN",
            Continent::Asia => "AS",
            Continent::Europe => "EU",
            Continent::NorthAmerica => "NA",
            Continent::Oceania => "OC",
            Continent::SouthAmerica => "SA",
        }
    }
}

impl FromStr for Continent {
    type Err = NoCode;

    /// Two letters in either case.
    fn from_str(text: &str) -> Result<Self, NoCode> {
        Self::ALL.into_iter().find(|continent| continent.code().eq_ignore_ascii_case(text)).ok_or(NoCode)
    }
}

/// A text that is no such code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoCode;

fn text(code: &[u8]) -> &str {
    std::str::from_utf8(code).expect("a code is made of ASCII letters and digits")
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Display for Subdivision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.part.iter().position(|byte| *byte == 0).unwrap_or(self.part.len());
        write!(f, "{}-{}", self.country, text(&self.part[..length]))
    }
}

impl fmt::Display for Continent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Debug for Subdivision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_in_either_case_and_shown_in_capitals() {
        assert_eq!("de".parse::<Country>().map(|code| code.to_string()), Ok("DE".to_owned()));
        assert_eq!("us-ca".parse::<Subdivision>().map(|code| code.to_string()), Ok("US-CA".to_owned()));
        assert_eq!("GB-9".parse::<Subdivision>().map(|code| code.to_string()), Ok("GB-9".to_owned()));
        assert_eq!("eu".parse(), Ok(Continent::Europe));
    }

    #[test]
    fn what_is_no_code_is_refused() {
        for text in ["", "D", "DEU", "D1", "ü", "日"] {
            assert_eq!(text.parse::<Country>(), Err(NoCode), "{text}");
        }
        for text in ["US", "US-", "US-CALI", "US-C A", "USCA", "-CA", "US-ü"] {
            assert_eq!(text.parse::<Subdivision>(), Err(NoCode), "{text}");
        }
        assert_eq!("XX".parse::<Continent>(), Err(NoCode));
    }
}
