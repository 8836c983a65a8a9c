//! `windrose locate`: where clients are, and why; from the files.
//!
//! ```text
//!   arguments, or lines of standard input --> Location --> a paragraph, or a line of JSON
//!   --map: every prefix of a compiled map ---------------> a line
//! ```
//!
//! Each client is printed before the next is read, so that a file of millions needs no memory, and whoever feeds
//! lines one at a time gets answers one at a time.

use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Write};
use std::path::Path;

use ipnet::IpNet;
use serde::Serialize;

use crate::answer::explain::locate;
use crate::app::print::reader;
use crate::app::{Failure, plan, site};
use crate::cli::{self, Output, Whom};
use crate::model::MapId;
use crate::plan::Plan;
use crate::spec::did_you_mean;

/// Prints where each of these clients is.
pub(super) fn clients(clients: &[Whom], config: Option<&Path>, output: Output) -> Result<(), Failure> {
    let plan = plan(&site(config)?)?.plan;
    let mut printer = Printer { plan: &plan, out: standard_output(), output, printed: 0 };
    let clients = if clients.is_empty() { &[Whom::Input] } else { clients };
    let mut bad = 0;
    let printed = clients
        .iter()
        .try_for_each(|client| match client {
            Whom::Client(client) => printer.print(*client),
            Whom::Input => printer.print_input().map(|lines| bad += lines),
        })
        .and_then(|()| printer.out.flush());
    reader(printed)?;
    match bad {
        0 => Ok(()),
        1 => Err(Failure::Failed("1 line is no address".into())),
        _ => Err(Failure::Failed(format!("{bad} lines are no addresses"))),
    }
}

/// Prints every prefix of a map, and its region.
pub(super) fn map(name: &str, config: Option<&Path>, output: Output) -> Result<(), Failure> {
    let plan = plan(&site(config)?)?.plan;
    let map = map_named(name, &plan)?;
    let mut out = standard_output();
    let printed = prefixes(&plan, map)
        .try_for_each(|row| match output {
            Output::Text => writeln!(out, "{:PREFIX_WIDTH$}  {}", row.prefix.to_string(), row.region),
            Output::Json => json_line(&mut out, &row),
        })
        .and_then(|()| out.flush());
    reader(printed)?;
    Ok(())
}

/// A prefix of a map: every client in it is in the same region.
#[derive(Serialize)]
struct Row<'p> {
    prefix: IpNet,
    region: &'p str,
}

fn prefixes(plan: &Plan, map: MapId) -> impl Iterator<Item = Row<'_>> {
    let Plan { geo, inventory, .. } = plan;
    let regions = inventory.regions_of(map);
    geo.prefixes(map).map(move |(prefix, situation)| {
        let region = inventory.situations[situation.index()].region(map);
        Row { prefix, region: &regions[region.index()].name }
    })
}

fn map_named(name: &str, plan: &Plan) -> Result<MapId, Failure> {
    let inventory = &plan.inventory;
    let names = || inventory.map_ids().map(|map| inventory.map_name(map));
    inventory.map_ids().find(|map| inventory.map_name(*map) == name).ok_or_else(|| {
        let hint = match did_you_mean(name, names()) {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("there is: {}", names().collect::<Vec<_>>().join(", ")),
        };
        Failure::Failed(format!("there is no map `{name}` ({hint})"))
    })
}

/// Where locations go.
struct Printer<'p, W> {
    plan: &'p Plan,
    out: W,
    output: Output,
    printed: usize,
}

impl<W: Write> Printer<'_, W> {
    fn print(&mut self, client: IpNet) -> io::Result<()> {
        let location = locate(client, self.plan);
        let between = if self.printed == 0 { "" } else { "\n" };
        self.printed += 1;
        match self.output {
            Output::Text => write!(self.out, "{between}{location}"),
            Output::Json => json_line(&mut self.out, &location),
        }
    }

    /// Whoever standard input names; says how many lines name nobody.
    fn print_input(&mut self) -> io::Result<usize> {
        if io::stdin().is_terminal() {
            eprintln!("windrose: type addresses, one a line; end with Ctrl-D");
        }
        self.print_lines(&mut BufReader::new(io::stdin().lock()))
    }

    fn print_lines(&mut self, input: &mut BufReader<impl io::Read>) -> io::Result<usize> {
        let mut bad = 0;
        let mut line = Vec::new();
        for number in 1.. {
            if input.buffer().is_empty() {
                self.out.flush()?;
            }
            line.clear();
            if input.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            let text = String::from_utf8_lossy(&line);
            let address = text.split('#').next().unwrap_or_default().trim();
            match cli::client(address) {
                Ok(client) => self.print(client)?,
                Err(_) if address.is_empty() => {}
                Err(expected) => {
                    eprintln!("windrose: line {number}: `{address}` is not {expected}");
                    bad += 1;
                }
            }
        }
        Ok(bad)
    }
}

fn json_line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

fn standard_output() -> impl Write {
    BufWriter::new(io::stdout().lock())
}

/// As wide as any IPv4 prefix: `255.255.255.255/32`.
const PREFIX_WIDTH: usize = 18;
