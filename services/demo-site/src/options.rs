//! The command line of the demo site.

use std::net::SocketAddr;

use clap::Args;

use crate::clock::MAX_SPEED;
use crate::world::WorldSpec;

// The first line below is shown as help, so what concerns the caller stands here: `run` reads everything but
// `listen`, because the caller binds the socket.
/// Options of the demo bookmakers
#[derive(Args, Clone, Debug, PartialEq)]
pub struct DemoOptions {
    /// Address and port of the demo bookmakers' HTTP server
    #[arg(long, env = "ODDSWIRE_DEMO_LISTEN", default_value = "127.0.0.1:4600")]
    pub listen: SocketAddr,

    /// Seed of the fictional world: equal seeds show equal worlds at equal moments
    #[arg(long, default_value_t = 7)]
    pub seed: u64,

    /// World seconds for each real second, 0 to 10000: 0 pauses the world
    #[arg(long, default_value_t = 1.0, value_parser = parse_speed)]
    pub speed: f64,

    /// How many football events the world holds at any moment, 1 to 4000
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=4000))]
    pub events: u32,

    /// How often prices and availability change, in percent of the default pace, 1 to 10000
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub pace_percent: u32,
}

impl Default for DemoOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4600)),
            seed: 7,
            speed: 1.0,
            events: 24,
            pace_percent: 100,
        }
    }
}

impl DemoOptions {
    /// Gives the part of the options that determines the world.
    pub fn world_spec(&self) -> WorldSpec {
        WorldSpec {
            seed: self.seed,
            events: self.events,
            pace_percent: self.pace_percent,
        }
    }
}

fn parse_speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if (0.0..=MAX_SPEED).contains(&speed) {
        Ok(speed)
    } else {
        Err(format!("speed must be within 0 and {MAX_SPEED}"))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: DemoOptions,
    }

    #[test]
    fn an_empty_command_line_means_the_default() {
        let cli = Cli::try_parse_from(["demo"]).unwrap();
        assert_eq!(cli.options, DemoOptions::default());
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for bad in [
            "--speed=-1",
            "--speed=NaN",
            "--speed=1e9",
            "--events=0",
            "--events=4001",
            "--pace-percent=0",
        ] {
            assert!(Cli::try_parse_from(["demo", bad]).is_err(), "{bad}");
        }
    }
}
