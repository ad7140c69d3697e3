//! List prices: a CSV with `model,input_usd_per_mtok,output_usd_per_mtok` and perhaps `dataset`.
//!
//! Prices are USD per million tokens, finite and not negative. With a `dataset` column, a row counts for the
//! prompts of that dataset; a row whose `dataset` is empty counts for all. Further columns are ignored, and so
//! are models the log does not have.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::columns::Mapper;
use crate::error::Error;
use crate::log::Price;
use crate::options::ReadOptions;

/// A parsed price list.
#[derive(Clone, Debug)]
pub(crate) struct PriceList {
    file: PathBuf,
    /// Model → dataset (empty: any) → price.
    rows: BTreeMap<String, BTreeMap<String, Price>>,
}

impl PriceList {
    /// Reads and checks a price list.
    pub(crate) fn read(file: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io { file: file.to_owned(), source };
        let bytes = std::fs::read(file).map_err(io)?;
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
        let headers: Vec<String> = reader
            .byte_headers()
            .map_err(|error| io(error.into()))?
            .iter()
            .map(|name| String::from_utf8_lossy(name).trim().to_owned())
            .collect();
        if headers.iter().all(String::is_empty) {
            return Err(Error::EmptyFile { file: file.to_owned() });
        }
        // Only for its check of duplicate names: a price list is not renamed.
        Mapper::new(&ReadOptions::default()).check(file, &headers, &[], false)?;
        let column = |name: &str| headers.iter().position(|header| header == name);
        let required = |name: &str| {
            column(name).ok_or_else(|| Error::MissingColumn {
                file: file.to_owned(),
                column: name.to_owned(),
                found: headers.clone(),
                nearest: None,
            })
        };
        let model = required("model")?;
        let input = required("input_usd_per_mtok")?;
        let output = required("output_usd_per_mtok")?;
        let dataset = column("dataset");

        let mut rows: BTreeMap<String, BTreeMap<String, Price>> = BTreeMap::new();
        let mut record = csv::ByteRecord::new();
        while reader.read_byte_record(&mut record).map_err(|error| io(error.into()))? {
            let line = record.position().map_or(0, csv::Position::line);
            let bad = |column, expected, got: &str| Error::BadPrice {
                file: file.to_owned(),
                line,
                column,
                expected,
                got: got.to_owned(),
            };
            let field = |index: usize| String::from_utf8_lossy(record.get(index).unwrap_or_default());
            let price = |index: usize, column| {
                let text = field(index);
                match text.trim().parse::<f64>() {
                    Ok(price) if price.is_finite() && price >= 0.0 => Ok(price),
                    _ => Err(bad(column, "USD per million tokens, finite and not negative", &text)),
                }
            };
            let name = field(model).trim().to_owned();
            if name.is_empty() {
                return Err(bad("model", "a name", ""));
            }
            let price = Price {
                input_usd_per_mtok: price(input, "input_usd_per_mtok")?,
                output_usd_per_mtok: price(output, "output_usd_per_mtok")?,
            };
            let dataset = dataset.map_or_else(String::new, |index| field(index).trim().to_owned());
            let known = *rows.entry(name.clone()).or_default().entry(dataset).or_insert(price);
            if known != price {
                return Err(bad("model", "one price per model and dataset", &name));
            }
        }
        Ok(Self { file: file.to_owned(), rows })
    }

    /// The price of a model for prompts of `dataset`.
    ///
    /// # Errors
    ///
    /// [`Error::AmbiguousPrice`] if the prompts have no dataset and the list's datasets disagree.
    pub(crate) fn price(&self, model: &str, dataset: Option<&str>) -> Result<Option<Price>, Error> {
        let Some(prices) = self.rows.get(model) else {
            return Ok(None);
        };
        if let Some(price) = dataset.and_then(|name| prices.get(name)).or_else(|| prices.get("")) {
            return Ok(Some(*price));
        }
        let mut values = prices.values();
        let first = values.next().copied();
        if dataset.is_some() {
            return Ok(None);
        }
        if values.all(|price| Some(*price) == first) {
            return Ok(first);
        }
        Err(Error::AmbiguousPrice {
            file: self.file.clone(),
            model: model.to_owned(),
            choices: prices
                .iter()
                .map(|(dataset, price)| {
                    format!("{dataset}: {}/{}", price.input_usd_per_mtok, price.output_usd_per_mtok)
                })
                .collect(),
        })
    }
}
