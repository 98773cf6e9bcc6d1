//! The bytes of pages that are no plain JSON and no plain HTML, as JSON values.

use super::{Error, node::Node};
use crate::source::{CsvRule, Embedded, Pick, Vars};
use scraper::{ElementRef, Html};
use serde_json::{Map, Value};

/// One JSON value.
pub(super) fn json(body: &[u8]) -> Result<Value, Error> {
    if body.first() == Some(&b'<') {
        return Err(Error::Blocked("HTML in place of JSON".to_owned()));
    }
    serde_json::from_slice(body).map_err(|error| {
        let what = if error.is_eof() { "cut off" } else { "not JSON" };
        let (line, column) = (error.line(), error.column());
        let size = body.len();
        Error::Parse(format!("{what} at line {line}, column {column} of {size} bytes"))
    })
}

/// A JSON value on each line, as an array.
pub(super) fn ndjson(body: &[u8]) -> Result<Value, Error> {
    if body.first() == Some(&b'<') {
        return Err(Error::Blocked("HTML in place of lines of JSON".to_owned()));
    }
    let lines = body.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).enumerate();
    let values = lines.filter(|(_, line)| !line.is_empty()).map(|(index, line)| {
        let number = index + 1;
        serde_json::from_slice(line).map_err(|error| {
            let what = if error.is_eof() { "cut off" } else { "not JSON" };
            Error::Parse(format!("line {number} is {what} at column {}", error.column()))
        })
    });
    values.collect::<Result<_, _>>().map(Value::Array)
}

/// The rows of a table as objects of texts. Where rows are grouped, each group has the cells of its first row, and all
/// of its rows under `rows`.
pub(super) fn csv(body: &[u8], rule: &CsvRule) -> Result<Value, Error> {
    if body.first() == Some(&b'<') {
        return Err(Error::Blocked("HTML in place of CSV".to_owned()));
    }
    let bad = |error: csv::Error| Error::Parse(format!("not CSV: {error}"));
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(rule.delimiter)
        .has_headers(rule.columns.is_none())
        .trim(csv::Trim::All)
        .from_reader(body);
    let columns = match &rule.columns {
        Some(columns) => columns.clone(),
        None => reader.headers().map_err(bad)?.iter().map(str::to_owned).collect(),
    };
    if columns.iter().all(String::is_empty) {
        return Err(Error::Parse(
            "not CSV: the line with the names of the columns is not there".to_owned(),
        ));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(bad)?;
        if record.len() != columns.len() {
            let line = record.position().map_or(0, csv::Position::line);
            let (cells, expected) = (record.len(), columns.len());
            return Err(Error::Parse(format!(
                "line {line} has {cells} cells in place of {expected}"
            )));
        }
        let cells = columns.iter().cloned().zip(record.iter().map(Value::from));
        rows.push(cells.collect::<Map<_, _>>());
    }
    let Some(column) = &rule.group_by else {
        return Ok(rows.into_iter().map(Value::Object).collect());
    };
    if !columns.contains(column) {
        return Err(Error::Drift(format!("the column {column:?} is not there")));
    }
    Ok(grouped(rows, column))
}

fn grouped(rows: Vec<Map<String, Value>>, column: &str) -> Value {
    let mut groups: Vec<Map<String, Value>> = Vec::new();
    let mut current: Vec<Value> = Vec::new();
    for row in rows {
        let same = groups
            .last()
            .is_some_and(|group| group.get(column) == row.get(column));
        if !same {
            close(&mut groups, &mut current);
            groups.push(row.clone());
        }
        current.push(Value::Object(row));
    }
    close(&mut groups, &mut current);
    groups.into_iter().map(Value::Object).collect()
}

fn close(groups: &mut [Map<String, Value>], rows: &mut Vec<Value>) {
    if let Some(group) = groups.last_mut() {
        group.insert("rows".to_owned(), Value::Array(std::mem::take(rows)));
    }
}

/// The JSON inside of a page.
pub(super) fn embedded(body: &[u8], rule: &Embedded) -> Result<Value, Error> {
    let holder = match &rule.place {
        None => text(body)?.to_owned(),
        Some(Pick::Css { selector, attr }) => {
            let html = Html::parse_document(text(body)?);
            let root = html.root_element();
            // Not only what people see: scripts are not shown.
            let element = match selector {
                Some(selector) => html.select(selector).next(),
                None => Some(root),
            };
            let found = element.and_then(|element| held(element, attr.as_deref()));
            found.ok_or_else(|| missing("what embedded asks for is not there"))?
        }
        Some(pick) => {
            let value = json(body)?;
            let found = Node::Json(&value).picked(pick, &Vars::new());
            found.ok_or_else(|| missing("what embedded asks for is not there"))?
        }
    };
    let found = match &rule.regex {
        None => holder.as_str(),
        Some(regex) => {
            let groups = regex.captures(&holder);
            let group = groups.and_then(|groups| groups.get(1).or_else(|| groups.get(0)));
            group
                .ok_or_else(|| missing("the expression of embedded finds nothing"))?
                .as_str()
        }
    };
    json(found.trim().as_bytes())
}

fn held(element: ElementRef<'_>, attr: Option<&str>) -> Option<String> {
    match attr {
        Some(attr) => element.attr(attr).map(str::to_owned),
        None => Some(element.text().collect()),
    }
}

fn missing(what: &str) -> Error {
    Error::Drift(what.to_owned())
}

/// The page as text.
pub(super) fn text(body: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(body).map_err(|_| Error::Parse("not UTF-8".to_owned()))
}
