//! What a measurement comes to: figures with a unit, and curves.

use serde::{Deserialize, Serialize};

/// One situation that was measured, such as one latency of the vendor.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Case {
    /// A column's heading.
    pub(crate) name: String,
    pub(crate) figures: Vec<Figure>,
    /// What is said in words: a name and a text.
    pub(crate) notes: Vec<(String, String)>,
    pub(crate) curves: Vec<Curve>,
}

/// One number.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) better: Better,
    pub(crate) value: f64,
    /// The operator is meant to be at least this good.
    pub(crate) wanted: Option<f64>,
}

/// Which way is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Better {
    Less,
    More,
    Neither,
}

/// A number for each second.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) per_second: Vec<f64>,
}

impl Case {
    pub(crate) fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    pub(crate) fn less(&mut self, name: &str, unit: &str, value: f64) -> &mut Figure {
        self.push(name, unit, Better::Less, value)
    }

    pub(crate) fn more(&mut self, name: &str, unit: &str, value: f64) -> &mut Figure {
        self.push(name, unit, Better::More, value)
    }

    pub(crate) fn plain(&mut self, name: &str, unit: &str, value: f64) -> &mut Figure {
        self.push(name, unit, Better::Neither, value)
    }

    pub(crate) fn note(&mut self, name: &str, text: impl Into<String>) {
        self.notes.push((name.to_owned(), text.into()));
    }

    pub(crate) fn curve(&mut self, name: &str, per_second: Vec<f64>) {
        self.curves.push(Curve { name: name.to_owned(), per_second });
    }

    /// A figure by its name.
    pub(crate) fn figure(&self, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.name == name)
    }

    fn push(&mut self, name: &str, unit: &str, better: Better, value: f64) -> &mut Figure {
        let figure = Figure { name: name.to_owned(), unit: unit.to_owned(), better, value, wanted: None };
        self.figures.push(figure);
        self.figures.last_mut().expect("just pushed")
    }
}

impl Figure {
    /// States how good it is meant to be.
    pub(crate) fn wanted(&mut self, wanted: f64) {
        self.wanted = Some(wanted);
    }

    /// Whether `value` is as good as it is meant to be; `None` if nothing was stated.
    pub(crate) fn is_met_by(&self, value: f64) -> Option<bool> {
        let wanted = self.wanted?;
        Some(match self.better {
            Better::Less => value <= wanted,
            Better::More => value >= wanted,
            Better::Neither => true,
        })
    }

    /// Name, unit and what is wanted, as the heading of a row.
    pub(crate) fn heading(&self) -> String {
        let unit = if self.unit.is_empty() { String::new() } else { format!(", {}", self.unit) };
        let wanted = match (self.wanted, self.better) {
            (Some(wanted), Better::Less) => format!(" (at most {})", plain(wanted)),
            (Some(wanted), Better::More) => format!(" (at least {})", plain(wanted)),
            _ => String::new(),
        };
        format!("{}{unit}{wanted}", self.name)
    }
}

/// With as many digits as the number deserves.
pub(crate) fn plain(value: f64) -> String {
    let text = match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
