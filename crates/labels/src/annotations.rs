//! Annotation files, ImagiNet's and like them: a line for each image, `path,origin,content_type,model,specific_model`, and behind
//! that its source if it has one. Columns hold ImagiNet's codes or words; a first line that names the columns may put them in
//! another order and leave some out. Pure.

use csv::ReaderBuilder;

use super::Vocabulary;
use domain::{Generator, LabelledOrigin};

/// What a line is made of, for messages.
const COLUMNS: &str = "path,origin,content_type,model,specific_model, and ,source behind them on all lines or on none";
/// Columns behind the path, before the source.
const WORDS: usize = 4;
/// What some editors put before a text in UTF-8.
const BYTE_ORDER_MARK: char = '\u{feff}';
/// Of an image of which no content type is said.
const ANY_CONTENT: &str = "uncategorized";

/// One line of an annotation file, its codes replaced by what they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Below the file's root, with slashes.
    pub path: String,
    pub origin: LabelledOrigin,
    pub content_type: String,
    /// `None` for a real image, and where none is named.
    pub generator: Option<Generator>,
    /// The data set, camera or site that it comes from: the column of that name, else the folder of the path.
    pub source: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct AnnotationError {
    /// From 1.
    pub line: usize,
    pub problem: String,
}

/// The first line of a file that is written here.
pub const HEADER: &str = "path,origin,content_type,model,specific_model,source";

/// A line in words under [`HEADER`], without its end; quoted where that is needed. An empty source is that of the folder.
pub fn line(annotation: &Annotation) -> String {
    let Annotation { path, origin, content_type, generator, source } = annotation;
    let generator = generator.as_ref();
    let family = generator.map_or("", |generator| &generator.family);
    // One that is called like its family is no more than that.
    let label = generator.filter(|generator| generator.label != generator.family).map_or("", |known| &known.label);
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    let written = writer.write_record([path, origin.as_str(), content_type, family, label, source]);
    let bytes = written.ok().and_then(|()| writer.into_inner().ok()).unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default().trim_end_matches('\n').to_owned()
}

/// Reads a whole file; the first line that can't be read is the error.
pub fn read(text: &str, vocabulary: &Vocabulary) -> Result<Vec<Annotation>, AnnotationError> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let (mut all, mut first, mut header) = (Vec::new(), None, None);
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let line_number = index + 1;
        let wrong = |problem| AnnotationError { line: line_number, problem };
        let record = columns(line).map_err(wrong)?;
        if header.is_none() && all.is_empty() && is_header(&record) {
            header = Some(Header::of(&record).map_err(wrong)?);
            continue;
        }
        let fields = match &header {
            Some(header) => header.fields(&record),
            None => {
                let fields = by_place(&record, vocabulary).map_err(wrong)?;
                let (first_line, first_has_source) = *first.get_or_insert((line_number, fields.source.is_some()));
                if first_has_source != fields.source.is_some() {
                    let (has, had) = if first_has_source { ("no", "one") } else { ("a", "none") };
                    return Err(wrong(format!(
                        "it has {has} source, but line {first_line} has {had}; give all lines a source or none"
                    )));
                }
                fields
            }
        };
        all.push(fields.resolved(vocabulary).map_err(wrong)?);
    }
    Ok(all)
}

/// Of one line; spaces around them count for nothing.
fn columns(line: &str) -> Result<Vec<String>, String> {
    // A line is short; the buffer is made for each.
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).buffer_capacity(512).from_reader(line.as_bytes());
    match reader.records().next() {
        Some(Ok(record)) => Ok(record.iter().map(str::to_owned).collect()),
        Some(Err(error)) => Err(error.to_string()),
        None => Ok(Vec::new()),
    }
}

/// The first line of a file that names its columns.
fn is_header(record: &[String]) -> bool {
    let names = |wanted: &str| record.iter().any(|field| field.trim().eq_ignore_ascii_case(wanted));
    names("path") && names("origin")
}

/// Where the columns are; those with other names are nobody's.
struct Header {
    path: usize,
    origin: usize,
    content_type: Option<usize>,
    family: Option<usize>,
    generator: Option<usize>,
    source: Option<usize>,
}

impl Header {
    fn of(record: &[String]) -> Result<Header, String> {
        let place = |names: &[&str]| {
            let is_named = |field: &str| names.iter().any(|name| field.trim().eq_ignore_ascii_case(name));
            record.iter().position(|field| is_named(field))
        };
        let needed = |name: &str| place(&[name]).ok_or_else(|| format!("no column is called {name}"));
        Ok(Header {
            path: needed("path")?,
            origin: needed("origin")?,
            content_type: place(&["content_type"]),
            family: place(&["model", "family"]),
            generator: place(&["specific_model", "generator"]),
            source: place(&["source"]),
        })
    }

    fn fields(&self, record: &[String]) -> Fields {
        let optional = |place: Option<usize>| {
            place.and_then(|place| record.get(place)).map_or("", |field| field.trim()).to_owned()
        };
        let source = optional(self.source);
        Fields {
            path: optional(Some(self.path)),
            origin: optional(Some(self.origin)),
            content_type: optional(self.content_type),
            family: optional(self.family),
            generator: optional(self.generator),
            source: (!source.is_empty()).then_some(source),
        }
    }
}

/// The columns of a line, as they stand there.
struct Fields {
    path: String,
    origin: String,
    content_type: String,
    family: String,
    generator: String,
    source: Option<String>,
}

/// A line without a header. Columns count from the end, since a path may hold commas; the source is what follows four others, and
/// no number.
fn by_place(record: &[String], vocabulary: &Vocabulary) -> Result<Fields, String> {
    let count = record.len();
    let column = |place: usize| record.get(place).map_or("", |field| field.trim());
    let is_origin = |text: &str| vocabulary.origin(text).is_some() || text.parse::<u32>().is_ok();
    // Words of four columns may end with that of a generator: then the column before them is none of an origin.
    let last = column(count - 1);
    let is_source = count > WORDS + 1 && last.parse::<u32>().is_err() && is_origin(column(count - WORDS - 1));
    if is_source && last.is_empty() {
        return Err(format!("the source is empty; a line is {COLUMNS}"));
    }
    let words = count - usize::from(is_source);
    if words < WORDS {
        return Err(format!("it has {count} columns; a line is {COLUMNS}"));
    }
    let field = |back: usize| column(words - back).to_owned();
    Ok(Fields {
        path: record[..words - WORDS].join(",").trim().to_owned(),
        origin: field(4),
        content_type: field(3),
        family: field(2),
        generator: field(1),
        source: is_source.then(|| last.to_owned()),
    })
}

impl Fields {
    fn resolved(self, vocabulary: &Vocabulary) -> Result<Annotation, String> {
        let Fields { path, origin, content_type, family, generator, source } = self;
        if path.is_empty() {
            return Err(format!("the path is missing; a line is {COLUMNS}"));
        }
        let unknown = |column: &str, text: &str, what: &str, list: &str| {
            let said = if text.parse::<u32>().is_ok() { text.to_owned() } else { format!("{text:?}") };
            let name = &vocabulary.name;
            format!(
                "{column} {said} is no {what} of {name}; write a code or a word that is there, or add it under [[{list}]] and \
                 name the file in labels.file. A line is {COLUMNS}"
            )
        };
        let found = vocabulary.origin(&origin).ok_or_else(|| unknown("origin", &origin, "origin", "origins"))?;
        let content_type = if content_type.is_empty() { ANY_CONTENT } else { &content_type };
        let content_type = vocabulary
            .content_type(content_type)
            .ok_or_else(|| unknown("content_type", content_type, "content type", "content_types"))?;
        let generator = match found {
            LabelledOrigin::Real => no_generator(&family, &generator, vocabulary)?,
            LabelledOrigin::Synthetic => {
                let named = match family.as_str() {
                    "" => None,
                    text => Some(vocabulary.family(text).ok_or_else(|| unknown("model", text, "family", "families"))?),
                };
                let of_family =
                    || named.map(|family| Generator { label: family.to_owned(), family: family.to_owned() });
                match generator.as_str() {
                    "" => of_family(),
                    text => {
                        let found = vocabulary
                            .generator(text)
                            .ok_or_else(|| unknown("specific_model", text, "generator", "generators"))?;
                        of_one_family(found, text, named, &family)?;
                        Some(found.clone())
                    }
                }
            }
        };
        let folder = || path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let source = source.unwrap_or_else(folder);
        Ok(Annotation { path, origin: found, content_type: content_type.into(), generator, source })
    }
}

fn of_one_family(found: &Generator, text: &str, named: Option<&str>, family: &str) -> Result<(), String> {
    match named {
        Some(named) if named != found.family => Err(format!(
            "specific_model {text} is {}, of family {:?}, but model {family} is {named:?}",
            found.label, found.family
        )),
        _ => Ok(()),
    }
}

/// Of a real image: its codes, or nothing.
fn no_generator(family: &str, generator: &str, vocabulary: &Vocabulary) -> Result<Option<Generator>, String> {
    let real = vocabulary.real();
    let is = |text: &str, code: u32| text.is_empty() || text == "real" || text.parse() == Ok(code);
    match is(family, real.family) && is(generator, real.generator) {
        true => Ok(None),
        false => Err(format!(
            "a real image has model {} and specific_model {}, or neither, not {family} and {generator}",
            real.family, real.generator
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str) -> Result<Vec<Annotation>, AnnotationError> {
        read(text, &Vocabulary::built_in())
    }

    #[test]
    fn imaginets_lines_are_read_with_their_codes_resolved() {
        let text = "real/photos/a.jpg,0,0,4,8\r\n\nfake/b, c.png,1,1,1,4\nfake/d.png,1,2,5,16";
        let read = read_all(text).unwrap();
        assert_eq!((&read[0].generator, read[0].source.as_str()), (&None, "real/photos"));
        assert_eq!((read[1].path.as_str(), read[1].content_type.as_str()), ("fake/b, c.png", "paintings"));
        let generator = |label: &str, family: &str| Some(Generator { label: label.into(), family: family.into() });
        assert_eq!(read[1].generator, generator("sdxl-1.0", "stable-diffusion"));
        assert_eq!((&read[2].generator, read[2].origin), (&generator("taef2", "other"), LabelledOrigin::Synthetic));
    }

    #[test]
    fn an_error_names_the_line_and_how_to_fix_it() {
        let problem = |line: &str| {
            let error = read_all(&format!("a.jpg,0,0,4,8\n{line}")).unwrap_err();
            assert_eq!(error.line, 2);
            error.to_string()
        };
        for (line, words) in [
            ("b.jpg,1,0,1,99", vec!["specific_model 99", "[[generators]]", "labels.file"]),
            ("b.jpg,1,0,77,4", vec!["model 77", "[[families]]"]),
            ("b.jpg,1,9,1,4", vec!["content_type 9", "[[content_types]]"]),
            ("b.jpg,2,0,1,4", vec!["origin 2"]),
            ("b.jpg,1,0,1,9", vec!["stylegan2", "\"gan\"", "\"stable-diffusion\""]),
            ("b.jpg,0,0,1,4", vec!["a real image has model 4"]),
            ("b.jpg,1,0", vec!["3 columns", "path,origin,content_type,model,specific_model"]),
            ("b.jpg,synthetic,photos,gan,flux-9", vec!["specific_model \"flux-9\"", "[[generators]]"]),
            ("b.jpg,real,photos,gan,", vec!["a real image has model 4"]),
            ("path,origin,content_type,model,specific_model", vec!["origin \"origin\" is no origin"]),
            (",1,0,1,4", vec!["the path is missing"]),
            ("1,0,1,4", vec!["the path is missing"]),
            ("b.jpg,1,0,1", vec!["origin"]),
        ] {
            let said = problem(line);
            assert!(said.starts_with("line 2: ") && words.iter().all(|word| said.contains(word)), "{line}: {said}");
        }
    }

    #[test]
    fn a_sixth_column_is_the_source_and_else_it_is_the_folder() {
        let text =
            "\u{feff}real/a, b.jpg,0,0,4,8, asp-imagebank \r\nfake/c.png,1,1,1,4,liruifengv/daily-poetry-image\n";
        let read = read_all(text).unwrap();
        assert_eq!((read[0].path.as_str(), read[0].source.as_str()), ("real/a, b.jpg", "asp-imagebank"));
        assert_eq!(read[1].source, "liruifengv/daily-poetry-image");
        let read = read_all("a/b/c.jpg,0,0,4,8\nd.jpg,0,0,4,8\n1,2,3,0,0,4,8").unwrap();
        assert_eq!(read.iter().map(|one| one.source.as_str()).collect::<Vec<_>>(), ["a/b", "", ""]);
        assert_eq!(read[2].path, "1,2,3");
    }

    #[test]
    fn words_stand_beside_codes_and_a_generator_may_be_missing() {
        let text = "\"a, \"\"b\"\".jpg\",real,photos,,\nc.png,synthetic,paintings,stable-diffusion,sdxl-1.0\nd.png,synthetic,1,,\n\
                    e.png,1,faces,gan,\nf.png,synthetic,3,,progan\n";
        let read = read_all(text).unwrap();
        let named = |place: usize| read[place].generator.as_ref().map(|generator| generator.label.as_str());
        assert_eq!((read[0].path.as_str(), read[0].origin), ("a, \"b\".jpg", LabelledOrigin::Real));
        assert_eq!([0, 1, 2, 3, 4].map(named), [None, Some("sdxl-1.0"), None, Some("gan"), Some("progan")]);
        assert_eq!((read[2].content_type.as_str(), read[4].content_type.as_str()), ("paintings", "uncategorized"));
    }

    #[test]
    fn what_is_written_can_be_read() {
        let vocabulary = Vocabulary::built_in();
        let (named, family) =
            (vocabulary.generator("sdxl-1.0").unwrap(), Generator { label: "gan".into(), family: "gan".into() });
        let annotation =
            |path: &str, origin, content_type: &str, generator: Option<&Generator>, source: &str| Annotation {
                path: path.into(),
                origin,
                content_type: content_type.into(),
                generator: generator.cloned(),
                source: source.into(),
            };
        let all = [
            annotation("a, \"b\".jpg", LabelledOrigin::Real, "photos", None, "phone, old"),
            annotation("c/d.png", LabelledOrigin::Synthetic, "faces", Some(named), "c"),
            annotation("e.png", LabelledOrigin::Synthetic, "photos", Some(&family), "site"),
            annotation("f.png", LabelledOrigin::Synthetic, "photos", None, "site"),
        ];
        let lines: Vec<String> = all.iter().map(line).collect();
        assert_eq!(read_all(&format!("{HEADER}\n{}\n", lines.join("\n"))).unwrap(), all);
        // Without a source it is the folder.
        let read = read_all(&format!("{HEADER}\n{}\n", line(&Annotation { source: String::new(), ..all[1].clone() })));
        assert_eq!(read.unwrap()[0].source, "c");
    }

    #[test]
    fn a_first_line_that_names_the_columns_gives_their_order() {
        let text =
            "\u{feff}Source,path,width,origin,generator\r\nphone,a.jpg,640,real,\r\n,x/b.png,320,synthetic,flux-1\r\n";
        let read = read_all(text).unwrap();
        assert_eq!((read[0].source.as_str(), read[0].content_type.as_str()), ("phone", "uncategorized"));
        assert_eq!(read[1].source, "x");
        assert_eq!(read[1].generator.as_ref().unwrap().family, "flux");
    }

    #[test]
    fn a_source_on_some_lines_only_is_refused_by_line() {
        let refused = |text: &str| read_all(text).unwrap_err().to_string();
        let with = "a.jpg,0,0,4,8,asp";
        let without = "b.jpg,0,0,4,8";
        let said = refused(&format!("{with}\n\n{without}"));
        assert!(said.starts_with("line 3: it has no source, but line 1 has one"), "{said}");
        let said = refused(&format!("{without}\n{with}"));
        assert!(said.starts_with("line 2: it has a source, but line 1 has none"), "{said}");
        let said = refused(&format!("{with}\nb.jpg,0,0,4,8,"));
        assert!(said.starts_with("line 2: the source is empty"), "{said}");
    }
}
