//! A first look at a table: its columns, and what the first rows hold.

use std::cell::{Cell as Slotted, RefCell};

use crate::columns::{Column, Mapper, Slot};
use crate::error::Error;
use crate::input::Source;
use crate::read::{Sink, read_source};
use crate::row::{Numeric, RawRow, score_value};

/// Rows that are looked at. A guess: enough that a column without a number among them is none of scores; few enough
/// to cost nothing.
const ROWS: u64 = 1_000;

/// What the first rows of a column hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Seen {
    /// Nothing.
    Nothing,
    /// Numbers or flags only: the least and the greatest.
    Scores { least: f64, greatest: f64 },
    /// Something that is no score.
    Other,
}

/// The columns of a table, in order, with what their first rows hold.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) columns: Vec<(String, Seen)>,
    /// Whether the table has `model` or `score`; then nothing else was looked at.
    pub(crate) is_long: bool,
}

impl Survey {
    /// Looks at the first rows of `source`.
    pub(crate) fn of(source: &Source<'_>, mapper: &Mapper) -> Result<Self, Error> {
        let mut look = Look { mapper, columns: RefCell::default(), is_long: Slotted::new(false), rows: 0 };
        read_source(source, &mut look)?;
        Ok(Self { columns: look.columns.into_inner(), is_long: look.is_long.get() })
    }

    /// The names of the columns.
    pub(crate) fn names(&self) -> Vec<String> {
        self.columns.iter().map(|(name, _)| name.clone()).collect()
    }
}

/// Takes every column as it is.
struct Look<'m> {
    mapper: &'m Mapper,
    columns: RefCell<Vec<(String, Seen)>>,
    is_long: Slotted<bool>,
    rows: u64,
}

impl Sink for Look<'_> {
    fn columns(&mut self, found: &[String]) -> Result<(), Error> {
        let is_long = |name: &String| matches!(self.mapper.slot(name), Slot::Column(Column::Model | Column::Score));
        self.is_long.set(self.is_long.get() || found.iter().any(is_long));
        Ok(())
    }

    fn slot(&self, name: &str) -> Slot {
        if matches!(self.mapper.slot(name), Slot::Column(Column::Model | Column::Score)) {
            self.is_long.set(true);
        }
        let mut columns = self.columns.borrow_mut();
        columns.push((name.to_owned(), Seen::Nothing));
        Slot::Peek(u32::try_from(columns.len() - 1).expect("fewer than 2^32 columns"))
    }

    fn push(&mut self, raw: &RawRow<'_>, _line: u64) -> Result<(), Error> {
        self.rows += 1;
        let columns = self.columns.get_mut();
        for (index, cell) in &raw.extra {
            let seen = &mut columns[*index as usize].1;
            *seen = match (*seen, score_value(cell)) {
                (Seen::Other, _) | (_, Numeric::Other) => Seen::Other,
                (known, Numeric::Missing) => known,
                (known, Numeric::Value(value)) if value.is_nan() => known,
                (Seen::Nothing, Numeric::Value(value)) => Seen::Scores { least: value, greatest: value },
                (Seen::Scores { least, greatest }, Numeric::Value(value)) => {
                    Seen::Scores { least: least.min(value), greatest: greatest.max(value) }
                }
            };
        }
        Ok(())
    }

    fn reject(&mut self, _line: u64, _reason: &'static str, _value: &str) {
        self.rows += 1;
    }

    fn progress(&mut self, _bytes: u64) {}

    fn wants(&self) -> u64 {
        if self.is_long.get() { 0 } else { ROWS.saturating_sub(self.rows) }
    }
}
