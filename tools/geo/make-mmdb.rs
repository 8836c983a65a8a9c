//! Makes databases in the MaxMind DB format, for tests and benchmarks.
//!
//! ```text
//!   make-mmdb OUT < LINES                a network a line:
//!     192.0.2.0/24 country=DE continent=EU subdivision=BY lat=48.1 lon=11.6 asn=64500
//!   make-mmdb OUT --random NETWORKS      a world: networks of both families in prefixes as they are given out, each
//!                                        in one of 100,000 places around the hubs of all countries
//! ```

use std::error::Error;
use std::io::{self, BufRead};
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use ipnet::IpNet;

use self::mmdb::{Value, Writer};
use self::world::World;

mod mmdb;
mod world;

/// Makes a database in the MaxMind DB format
#[derive(Parser)]
struct Arguments {
    /// The file to write
    out: PathBuf,
    /// Instead of lines from standard input: a random world of so many networks
    #[arg(long, value_name = "NETWORKS")]
    random: Option<usize>,
    /// Which random world
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What is told of a network of a random world
    #[arg(long, value_enum, default_value_t = Model::City)]
    model: Model,
    /// Bits of a record in the search tree: 24, 28 or 32
    #[arg(long, default_value_t = 28, value_parser = bits)]
    record_bits: u16,
    /// 4: IPv4 alone; 6: both families
    #[arg(long, default_value_t = 6, value_parser = version)]
    ip_version: u16,
    /// Leave out the ways by which IPv4-mapped, 6to4 and Teredo addresses lead to IPv4
    #[arg(long)]
    no_aliases: bool,
    /// What the database calls itself [default: the model]
    #[arg(long)]
    kind: Option<String>,
    /// When it was built, in seconds since 1970
    #[arg(long, default_value_t = 1_790_000_000)]
    built: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Model {
    City,
    Country,
    Asn,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let model = match arguments.model {
        Model::City => "GeoLite2-City",
        Model::Country => "GeoLite2-Country",
        Model::Asn => "GeoLite2-ASN",
    };
    let kind = arguments.kind.as_deref().unwrap_or(model);
    let mut writer = Writer::new(arguments.record_bits, arguments.ip_version, kind, arguments.built);
    match arguments.random {
        Some(networks) => fill(&mut writer, networks, arguments.seed, arguments.model),
        None => copy(&mut writer)?,
    }
    if arguments.ip_version == 6 && !arguments.no_aliases {
        writer.alias();
    }
    if writer.bits_needed().is_none_or(|needed| needed > arguments.record_bits) {
        return Err(format!("that is too much for records of {} bits", arguments.record_bits).into());
    }
    std::fs::write(arguments.out, writer.bytes())?;
    Ok(())
}

fn bits(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|bits| [24, 28, 32].contains(bits)).ok_or_else(|| "24, 28 or 32".to_owned())
}

fn version(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|version| [4, 6].contains(version)).ok_or_else(|| "4 or 6".to_owned())
}

fn fill(writer: &mut Writer, networks: usize, seed: u64, model: Model) {
    let mut world = World::new(seed);
    let kept: Vec<_> = world.places().iter().map(|place| writer.keep(&record(place, model))).collect();
    let v4 = networks * 6 / 10;
    for (share, family) in [(v4, &world::V4), (networks - v4, &world::V6)] {
        for net in world.divide(share, family) {
            writer.insert_kept(net, kept[world.place()]);
        }
    }
}

fn record(place: &world::Place, model: Model) -> Value {
    let text = |text: &str| Value::Text(text.to_owned());
    let code = |code: &str| Value::Map(vec![("iso_code", text(code))]);
    let country = code(&place.country);
    let continent = Value::Map(vec![("code", text(place.continent))]);
    match model {
        Model::Asn => Value::Map(vec![("autonomous_system_number", Value::Whole(place.asn))]),
        Model::Country => Value::Map(vec![("continent", continent), ("country", country)]),
        Model::City => Value::Map(vec![
            ("continent", continent),
            ("country", country),
            ("location", location(place.latitude, place.longitude)),
            ("subdivisions", Value::List(vec![code(&place.part)])),
        ]),
    }
}

fn location(latitude: f64, longitude: f64) -> Value {
    Value::Map(vec![("latitude", Value::Number(latitude)), ("longitude", Value::Number(longitude))])
}

fn copy(writer: &mut Writer) -> Result<(), Box<dyn Error>> {
    for (number, line) in (1..).zip(io::stdin().lock().lines()) {
        let line = line?;
        let line = line.split('#').next().unwrap_or_default().trim();
        if !line.is_empty() {
            let (net, value) = parse(line).map_err(|error| format!("line {number}: {error}"))?;
            writer.insert(net, &value);
        }
    }
    Ok(())
}

fn parse(line: &str) -> Result<(IpNet, Value), Box<dyn Error>> {
    let mut words = line.split_whitespace();
    let net = words.next().unwrap_or_default().parse()?;
    let code = |code: &str| Value::Map(vec![("iso_code", Value::Text(code.to_owned()))]);
    let mut fields = Vec::new();
    let (mut latitude, mut longitude) = (None, None);
    for word in words {
        match word.split_once('=').ok_or_else(|| format!("`{word}` is no KEY=VALUE"))? {
            ("country", value) => fields.push(("country", code(value))),
            ("continent", value) => {
                fields.push(("continent", Value::Map(vec![("code", Value::Text(value.to_owned()))])));
            }
            ("subdivision", value) => fields.push(("subdivisions", Value::List(vec![code(value)]))),
            ("asn", value) => fields.push(("autonomous_system_number", Value::Whole(value.parse()?))),
            ("lat", value) => latitude = Some(value.parse()?),
            ("lon", value) => longitude = Some(value.parse()?),
            (key, _) => {
                return Err(
                    format!("`{key}` is none of country, continent, subdivision, asn, lat, lon").into()
                );
            }
        }
    }
    if let (Some(latitude), Some(longitude)) = (latitude, longitude) {
        fields.push(("location", location(latitude, longitude)));
    }
    Ok((net, Value::Map(fields)))
}
