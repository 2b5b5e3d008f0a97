//! Data on stdout, in the format that was asked for.

use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// Most rows of one table: widths of columns are those of so many rows.
const ROWS_OF_A_TABLE: usize = 1_000;

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Format {
    /// Columns for people
    #[default]
    Table,
    /// One JSON value; a list is an array
    Json,
    /// One JSON value a line
    Jsonl,
    /// Comma-separated values with a header (RFC 4180)
    Csv,
}

/// A column of tables and of CSV: its title, and where its value is in an item.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    /// Title.
    title: &'static str,
    /// Names of members, from the outside in, parted by `/`.
    path: &'static str,
}

/// Makes a column.
pub(super) const fn column(title: &'static str, path: &'static str) -> Column {
    Column { title, path }
}

/// A list that is printed item by item.
pub(super) struct List<W: Write> {
    out: W,
    format: Format,
    columns: &'static [Column],
    /// Rows of the table that is not printed yet.
    rows: Vec<Vec<String>>,
    printed: usize,
}

impl List<io::StdoutLock<'static>> {
    /// Begins a list on stdout.
    ///
    /// # Errors
    /// When stdout cannot be written to.
    pub(super) fn begin(format: Format, columns: &'static [Column]) -> io::Result<Self> {
        Self::begin_on(io::stdout().lock(), format, columns)
    }
}

impl<W: Write> List<W> {
    fn begin_on(mut out: W, format: Format, columns: &'static [Column]) -> io::Result<Self> {
        if format == Format::Csv {
            let titles: Vec<_> = columns.iter().map(|column| csv_cell(column.title)).collect();
            write!(out, "{}\r\n", titles.join(","))?;
        }
        Ok(Self { out, format, columns, rows: Vec::new(), printed: 0 })
    }

    /// Prints one item.
    ///
    /// # Errors
    /// When stdout cannot be written to, or the item is no JSON that can be read.
    pub(super) fn push(&mut self, item: &RawValue) -> anyhow::Result<()> {
        match self.format {
            Format::Json => {
                let before = if self.printed == 0 { "[" } else { ",\n" };
                write!(self.out, "{before}{item}")?;
            }
            Format::Jsonl => writeln!(self.out, "{item}")?,
            Format::Csv => {
                let cells = self.cells(item)?;
                let cells: Vec<_> = cells.iter().map(|cell| csv_cell(cell)).collect();
                write!(self.out, "{}\r\n", cells.join(","))?;
            }
            Format::Table => {
                let row = self.cells(item)?;
                self.rows.push(row);
                if self.rows.len() == ROWS_OF_A_TABLE {
                    self.print_table()?;
                }
            }
        }
        self.printed += 1;
        Ok(())
    }

    /// Ends the list.
    ///
    /// # Errors
    /// When stdout cannot be written to.
    pub(super) fn end(mut self) -> io::Result<()> {
        match self.format {
            Format::Json if self.printed == 0 => writeln!(self.out, "[]")?,
            Format::Json => writeln!(self.out, "]")?,
            Format::Table if !self.rows.is_empty() || self.printed == 0 => self.print_table()?,
            Format::Table | Format::Jsonl | Format::Csv => {}
        }
        self.out.flush()
    }

    fn cells(&self, item: &RawValue) -> anyhow::Result<Vec<String>> {
        let cell_of = |column: &Column| match at(item, column.path)? {
            Some(value) => cell(value),
            None => Ok(String::new()),
        };
        self.columns.iter().map(cell_of).collect()
    }

    fn print_table(&mut self) -> io::Result<()> {
        let mut table = bare_table();
        table.set_header(self.columns.iter().map(|column| column.title.to_uppercase()));
        for row in self.rows.drain(..) {
            table.add_row(row.iter().map(|cell| table_cell(cell)));
        }
        write_table(&mut self.out, &table)
    }
}

/// Prints one value to stdout, as [`print_one`] does.
///
/// # Errors
/// When stdout cannot be written to, or the value is none that JSON has.
pub(super) fn print_value(format: Format, value: &impl Serialize) -> anyhow::Result<()> {
    print_one(format, &to_raw_value(value)?)
}

/// Prints one value to stdout. As a table: one line for each of its members, however deep.
///
/// # Errors
/// When stdout cannot be written to, or the value is no JSON that can be read.
pub(super) fn print_one(format: Format, value: &RawValue) -> anyhow::Result<()> {
    write_one(&mut io::stdout().lock(), format, value)
}

fn write_one(out: &mut impl Write, format: Format, value: &RawValue) -> anyhow::Result<()> {
    match format {
        Format::Json | Format::Jsonl => writeln!(out, "{value}")?,
        Format::Table => {
            let mut table = bare_table();
            for (path, text) in members(value)? {
                table.add_row([table_cell(&path), table_cell(&text)]);
            }
            write_table(out, &table)?;
        }
        Format::Csv => {
            let (paths, texts): (Vec<_>, Vec<_>) = members(value)?.into_iter().unzip();
            for row in [paths, texts] {
                let cells: Vec<_> = row.iter().map(|text| csv_cell(text)).collect();
                write!(out, "{}\r\n", cells.join(","))?;
            }
        }
    }
    Ok(out.flush()?)
}

fn bare_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// Writes a table without the padding at the ends of its lines.
fn write_table(out: &mut impl Write, table: &Table) -> io::Result<()> {
    for line in table.lines() {
        writeln!(out, "{}", line.strip_prefix(' ').unwrap_or(&line).trim_end())?;
    }
    Ok(())
}

/// Gives the members of a value by their dotted paths, in the order of the text: strings bare,
/// nothing for null, arrays as JSON.
///
/// # Errors
/// When the value is no JSON that can be read.
pub(super) fn members(value: &RawValue) -> anyhow::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    collect_members("", value, &mut found)?;
    Ok(found)
}

fn collect_members(
    path: &str,
    value: &RawValue,
    found: &mut Vec<(String, String)>,
) -> anyhow::Result<()> {
    match pairs(value)? {
        Some(Pairs(pairs)) if !pairs.is_empty() => {
            for (name, value) in pairs {
                let dot = if path.is_empty() { "" } else { "." };
                collect_members(&format!("{path}{dot}{name}"), value, found)?;
            }
        }
        Some(_) | None => found.push((path.to_owned(), cell(value)?)),
    }
    Ok(())
}

/// The members of an object in the order of the text.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Pairs<'de>;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// Reads an object; nothing when the value is none.
fn pairs(value: &RawValue) -> anyhow::Result<Option<Pairs<'_>>> {
    let object = value.get().starts_with('{');
    Ok(object.then(|| serde_json::from_str(value.get())).transpose()?)
}

fn at<'a>(item: &'a RawValue, path: &str) -> anyhow::Result<Option<&'a RawValue>> {
    let mut at = item;
    for name in path.split('/') {
        let members = pairs(at)?.map_or_else(Vec::new, |Pairs(members)| members);
        match members.into_iter().find(|(member, _)| member == name) {
            Some((_, value)) => at = value,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

/// Gives a value as a cell: strings bare, nothing for null, the rest as its text.
fn cell(value: &RawValue) -> anyhow::Result<String> {
    let text = value.get();
    Ok(match text.as_bytes().first() {
        Some(b'"') => serde_json::from_str(text)?,
        Some(b'n') => String::new(),
        _ => text.to_owned(),
    })
}

/// Gives a cell of a table: what is empty shows, and nothing that a terminal would obey.
fn table_cell(text: &str) -> String {
    if text.is_empty() {
        return "-".to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Gives a cell of CSV: quoted where it must be, and nothing that a spreadsheet would compute.
fn csv_cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if formula || text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[column("key", "key"), column("used", "usage/raw")];

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    fn list(format: Format, items: &[&str]) -> String {
        let mut out = Vec::new();
        let mut list = List::begin_on(&mut out, format, COLUMNS).unwrap();
        for item in items {
            list.push(&raw(item)).unwrap();
        }
        list.end().unwrap();
        String::from_utf8(out).unwrap()
    }

    fn one(format: Format, value: &str) -> String {
        let mut out = Vec::new();
        write_one(&mut out, format, &raw(value)).unwrap();
        String::from_utf8(out).unwrap()
    }

    const A: &str = r#"{"key":"a,b","usage":{"raw":"-1.50"}}"#;
    const B: &str = r#"{"key":"=1+1","usage":{"raw":1e999}}"#;
    const C: &str = r#"{"key":null}"#;

    #[test]
    fn a_list_is_printed_in_each_format() {
        assert_eq!(list(Format::Json, &[A, C]), format!("[{A},\n{C}]\n"));
        assert_eq!(list(Format::Json, &[]), "[]\n");
        assert_eq!(list(Format::Jsonl, &[A, C]), format!("{A}\n{C}\n"));
        assert_eq!(list(Format::Jsonl, &[]), "");
        assert_eq!(
            list(Format::Csv, &[A, B, C]),
            "key,used\r\n\"a,b\",\"'-1.50\"\r\n\"'=1+1\",1e999\r\n,\r\n"
        );
        assert_eq!(
            list(Format::Table, &[A, B, C]),
            "KEY   USED\na,b   -1.50\n=1+1  1e999\n-     -\n"
        );
        assert_eq!(list(Format::Table, &[]), "KEY  USED\n");
    }

    #[test]
    fn one_value_is_printed_in_each_format() {
        let value = r#"{"z":"x","a":{"c":[1,2.50],"b":null},"e":{}}"#;
        assert_eq!(one(Format::Json, value), format!("{value}\n"));
        assert_eq!(one(Format::Table, value), "z    x\na.c  [1,2.50]\na.b  -\ne    {}\n");
        assert_eq!(one(Format::Csv, value), "z,a.c,a.b,e\r\nx,\"[1,2.50]\",,{}\r\n");
    }

    #[test]
    fn a_spreadsheet_computes_nothing_and_a_terminal_obeys_nothing() {
        for text in ["=1", "+1", "-1", "@A1", "\t=1"] {
            assert_eq!(csv_cell(text), format!("\"'{text}\""));
        }
        assert_eq!(csv_cell("say \"hi\""), "\"say \"\"hi\"\"\"");
        assert_eq!(csv_cell("a=b"), "a=b");
        assert_eq!(table_cell("\u{1b}[31mred\n"), "\\u{1b}[31mred\\n");
    }
}
