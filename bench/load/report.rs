//! Times in, one line of JSON out.

use std::time::Duration;

/// What a load saw.
#[derive(Default)]
pub struct Report {
    times: Vec<Duration>,
}

impl Report {
    /// One answer, and how long it took.
    pub fn answer(&mut self, time: Duration) {
        self.times.push(time);
    }

    /// How many answers so far.
    pub fn count(&self) -> usize {
        self.times.len()
    }

    /// Requests per second over `whole`, and the times that so many percent stayed below.
    pub fn line(mut self, what: &str, whole: Duration) -> String {
        self.times.sort_unstable();
        let at = |percent: usize| {
            let place = self.times.len().saturating_sub(1) * percent / 100;
            self.times.get(place).copied().unwrap_or_default().as_micros()
        };
        let rate = u128::try_from(self.times.len()).unwrap_or_default() * 1_000_000
            / whole.as_micros().max(1);
        format!(
            "{{\"what\":\"{what}\",\"per_second\":{rate},\"p50_us\":{},\"p99_us\":{}}}",
            at(50),
            at(99)
        )
    }
}
