//! How often an endpoint that is up is taken for dead, and how soon one that is dead: `tools/bench/false-failover`.

#[path = "verdicts/mod.rs"]
mod verdicts;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use ::windrose::health::TrackerSettings;
use verdicts::trace::Dice;
use verdicts::{Ending, Gdnsd, Judge, Loss, Route53, Trace, Windrose};

fn main() -> ExitCode {
    let days = match std::env::args().nth(1).map(|days| days.parse()) {
        None => DAYS,
        Some(Ok(days)) => days,
        Some(Err(error)) => {
            eprintln!("false-failover [DAYS]: {error}");
            return ExitCode::from(2);
        }
    };
    let weathers = weathers();
    let compared: Vec<u64> =
        weathers.iter().map(|weather| count(&Windrose::COMPARED, weather, days)).collect();
    let met = show_bars(&weathers, &compared, days);
    show_rates(&weathers, &compared, days);
    show_detection();
    ExitCode::from(u8::from(!met))
}

/// Whether all are met.
fn show_bars(weathers: &[Weather], counts: &[u64], days: u64) -> bool {
    println!(
        "\nTurns of windrose to Down per endpoint and day, endpoint up all the time, {days} days each:\n"
    );
    print_row("checks", &["bar", "measured", "at most (95 %)", "verdict"].map(str::to_owned));
    print_row("---", &vec!["---".to_owned(); 4]);
    let mut all_met = true;
    for (weather, count) in weathers.iter().zip(counts) {
        let met = weather.bar.is_met(*count, days);
        all_met &= met;
        let verdict = if met { "pass" } else { "FAIL" };
        let cells = [weather.bar.words(), &rate(*count, days), &bound(*count, days), verdict];
        print_row(weather.name, &cells.map(str::to_owned));
    }
    all_met
}

/// Everybody on the same traces: the first days of those that the bars were measured with.
fn show_rates(weathers: &[Weather], compared: &[u64], days: u64) {
    let fewer = days.div_ceil(DAYS_OF_THE_OTHERS);
    println!("\nTurns to Down per endpoint and day; all but windrose over {fewer} days each:\n");
    print_row("algorithm", &weathers.iter().map(|weather| weather.name.to_owned()).collect::<Vec<_>>());
    print_row("---", &vec!["---".to_owned(); weathers.len()]);
    for (name, judge) in JUDGES {
        let cells: Vec<String> = match name {
            COMPARED => compared.iter().map(|count| rate(*count, days)).collect(),
            _ => weathers.iter().map(|weather| rate(count(judge, weather, fewer), fewer)).collect(),
        };
        print_row(name, &cells);
    }
}

fn show_detection() {
    println!("\nFrom a death to the verdict, {DEATHS} deaths each, median / 99 of 100:\n");
    print_row("algorithm", &["refused".to_owned(), "vanished".to_owned()]);
    print_row("---", &vec!["---".to_owned(); 2]);
    for (name, judge) in JUDGES {
        let times = [Ending::Refused, Ending::Vanished].map(|ending| detection(judge, ending));
        print_row(name, &times.map(|[median, most]| format!("{median:.1} s / {most:.1} s")));
    }
}

/// What the network does, and what must be reached in it.
struct Weather {
    name: &'static str,
    loss: Loss,
    ending: Ending,
    bar: Bar,
}

#[derive(Clone, Copy)]
enum Bar {
    /// Not one.
    None,
    /// Fewer than one per endpoint and day.
    UnderOne,
}

impl Bar {
    fn words(self) -> &'static str {
        match self {
            Bar::None => "0",
            Bar::UnderOne => "< 1",
        }
    }

    fn is_met(self, count: u64, days: u64) -> bool {
        match self {
            Bar::None => count == 0,
            Bar::UnderOne => count < days,
        }
    }
}

fn weathers() -> Vec<Weather> {
    let weather = |name, loss, ending, bar| Weather { name, loss, ending, bar };
    let bursts = |seconds: f64| Loss::Bursts { share: 0.05, mean: seconds * 1000.0 };
    use Ending::{Refused, Vanished};
    vec![
        weather("10 % time out", Loss::Independent(0.1), Vanished, Bar::None),
        weather("20 % time out", Loss::Independent(0.2), Vanished, Bar::None),
        weather("10 % fail at once", Loss::Independent(0.1), Refused, Bar::None),
        weather("20 % fail at once", Loss::Independent(0.2), Refused, Bar::None),
        weather("5 % in bursts of 1 s", bursts(1.0), Vanished, Bar::UnderOne),
        weather("5 % in bursts of 3 s", bursts(3.0), Vanished, Bar::UnderOne),
        weather("5 % in bursts of 10 s", bursts(10.0), Vanished, Bar::UnderOne),
        weather("5 % in bursts of 30 s", bursts(30.0), Vanished, Bar::UnderOne),
    ]
}

/// Turns to Down in so many days, on all cores.
fn count(judge: &dyn Judge, weather: &Weather, days: u64) -> u64 {
    let (next, total) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|threads| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            threads.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= days {
                        break;
                    }
                    let trace =
                        Trace { seed, loss: weather.loss, ending: weather.ending, death: None, span: DAY };
                    total.fetch_add(judge.downs(&trace).len() as u64, Ordering::Relaxed);
                }
            });
        }
    });
    total.into_inner()
}

/// Seconds from a death to the verdict: the median, and what 99 of 100 need at most.
fn detection(judge: &dyn Judge, ending: Ending) -> [f64; 2] {
    let mut times: Vec<u64> = (0..DEATHS)
        .map(|seed| {
            let death = HOUR + Dice(seed).below(HOUR);
            let trace = Trace { seed, loss: Loss::None, ending, death: Some(death), span: 3 * HOUR };
            let down = *judge.downs(&trace).first().expect("the dead are found out");
            down - death
        })
        .collect();
    times.sort_unstable();
    [50, 99].map(|percent| times[times.len() * percent / 100] as f64 / 1000.0)
}

fn print_row(first: &str, cells: &[String]) {
    println!("| {first} | {} |", cells.join(" | "));
}

fn rate(count: u64, days: u64) -> String {
    match count {
        0 => "0".to_owned(),
        count => format!("{:.3}", count as f64 / days as f64),
    }
}

/// The rate that would have given more than this with a chance of 95 % (Poisson).
fn bound(count: u64, days: u64) -> String {
    let chance_of_fewer = |mean: f64| {
        let mut term = (-mean).exp();
        (1..=count).fold(term, |sum, n| {
            term *= mean / n as f64;
            sum + term
        })
    };
    let (mut low, mut high) = (count as f64, 2.0 * count as f64 + 10.0);
    if count > EXACT_MAX {
        return format!("{:.4}", (low + 1.645 * low.sqrt()) / days as f64);
    }
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if chance_of_fewer(middle) > 0.05 { low = middle } else { high = middle }
    }
    format!("{:.4}", high / days as f64)
}

/// Who is compared. The first meets the bars, or does not.
const JUDGES: [(&str, &dyn Judge); 7] = [
    (COMPARED, &Windrose::COMPARED),
    ("windrose, `quorum = \"50%\"`", &MAJORITY),
    ("windrose, `fall = 3`", &FALL_3),
    ("windrose, default monitor", &DEFAULT),
    ("gdnsd, 10/10/20 at 10 s", &Gdnsd::DEFAULT),
    ("Route 53, 3 at 10 s", &Route53 { interval: 10_000 }),
    ("Route 53, 3 at 30 s", &Route53 { interval: 30_000 }),
];
const COMPARED: &str = "windrose";
const MAJORITY: Windrose = Windrose { quorum: 50, ..Windrose::COMPARED };
const FALL_3: Windrose =
    Windrose { settings: TrackerSettings { fall: 3, ..Windrose::COMPARED.settings }, ..Windrose::COMPARED };
/// A monitor of which nothing is said.
const DEFAULT: Windrose =
    Windrose { settings: TrackerSettings { interval: Duration::from_secs(5), ..FALL_3.settings }, ..FALL_3 };

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

/// Nothing in so many means less than one in a third of them.
const DAYS: u64 = 1_000;

/// One of so many days is enough for those that have no bar.
const DAYS_OF_THE_OTHERS: u64 = 10;
const DEATHS: u64 = 1_000;

/// Beyond so many a Poisson distribution is as good as a normal one, and cheaper.
const EXACT_MAX: u64 = 300;
