//! What is sent arrives, and nothing else is taken.

use super::*;

/// Takes and gives at most three bytes at a time.
struct Trickle<T>(T);

impl<T: Read> Read for Trickle<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(3);
        self.0.read(&mut buffer[..most])
    }
}

impl<T: Write> Write for Trickle<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(&bytes[..bytes.len().min(3)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn requests_arrive_whole_however_the_socket_cuts_them() {
    let mut sent = Vec::new();
    send_request(Trickle(&mut sent), Request::Decode, b"an image of some bytes").unwrap();
    send_request(Trickle(&mut sent), Request::Probe, b"").unwrap();
    send_request(Trickle(&mut sent), Request::Window { side: 1024 }, b"short").unwrap();
    send_request(Trickle(&mut sent), Request::Whole { longest: 70_000 }, b"all").unwrap();
    let mut from = Trickle(sent.as_slice());
    let mut buffer = Vec::new();
    let mut next = || {
        let request = read_request(&mut from, &mut buffer).unwrap()?;
        Some((request.0, buffer[..request.1].to_vec()))
    };
    assert_eq!(next(), Some((Request::Decode, b"an image of some bytes".to_vec())));
    assert_eq!(next(), Some((Request::Probe, vec![])));
    assert_eq!(next(), Some((Request::Window { side: 1024 }, b"short".to_vec())));
    assert_eq!(next(), Some((Request::Whole { longest: 70_000 }, b"all".to_vec())));
    assert_eq!(next(), None);
}

#[test]
fn a_request_that_is_cut_off_or_unknown_is_an_error() {
    let mut sent = Vec::new();
    send_request(&mut sent, Request::Decode, b"image").unwrap();
    for length in 1..sent.len() {
        assert!(read_request(&sent[..length], &mut Vec::new()).is_err(), "cut at {length}");
    }
    sent[0] = 9;
    assert!(read_request(sent.as_slice(), &mut Vec::new()).is_err());
    for side in [0, MAX_WINDOW + 1] {
        let mut sent = Vec::new();
        send_request(&mut sent, Request::Window { side }, b"image").unwrap();
        assert!(read_request(sent.as_slice(), &mut Vec::new()).is_err(), "a window of {side}");
    }
    let mut sent = Vec::new();
    send_request(&mut sent, Request::Whole { longest: 0 }, b"image").unwrap();
    assert!(read_request(sent.as_slice(), &mut Vec::new()).is_err());
}

#[test]
fn responses_arrive_as_they_were_sent() {
    let crop = |first: u8| Crop::from_pixels((0..Crop::BYTES).map(|n| n as u8 ^ first).collect()).unwrap();
    for later in 0..MAX_JUDGED {
        let decoded = Decoded {
            crop: crop(0),
            later: (1..=later as u8).map(crop).collect(),
            frames: (later > 0).then_some(70),
            judged: if later > 0 { (1..=later as u32 + 1).map(|n| n * 20).collect() } else { vec![] },
            orientation: Orientation::of(6).unwrap(),
            format: Format::Webp,
            width: 70_000,
            height: 3,
            quality: vec![Quality::LowResolution, Quality::Greyscale],
            provenance: crate::provenance::of(b"\xff\xd8\xff\xfe\0\x12Made with Canva  "),
        };
        assert!(!decoded.provenance.hints.is_empty());
        let mut sent = Vec::new();
        send_decoded(Trickle(&mut sent), Ok(decoded.clone())).unwrap();
        let mut from = Trickle(sent.as_slice());
        let Response::Decoded(facts) = read_response(&mut from).unwrap() else { panic!("no image came") };
        assert!(read_decoded(&mut from, facts.clone()).unwrap() == decoded);
        assert!(from.0.is_empty());
        let unnumbered = Facts { judged: vec![1; later + 2], ..facts.clone() };
        assert!(read_decoded(io::repeat(7), unnumbered).is_err());
        let more = Facts { later: MAX_JUDGED, ..facts };
        assert!(read_decoded(io::repeat(7), more).is_err());
    }

    let errors = [
        DecodeError::Empty,
        DecodeError::UnsupportedFormat { magic: "\"\\xff\"".into(), name: Some("a PDF document".into()) },
        DecodeError::UnsupportedKind { format: Format::Tiff, detail: "floating point".into() },
        DecodeError::TooManyPixels { width: u64::MAX, height: 2, limit: 3 },
        DecodeError::TooManyDecodedBytes { bytes: 5, limit: 4 },
        DecodeError::Damaged { format: Format::Jpeg, detail: "cut \"off\"\n".into() },
    ];
    for error in errors {
        let words = error.to_string();
        let mut sent = Vec::new();
        send_decoded(&mut sent, Err(error)).unwrap();
        let Response::Refused(error) = read_response(sent.as_slice()).unwrap() else { panic!("{words}") };
        assert_eq!(error.to_string(), words);
    }
}

#[test]
fn a_window_arrives_as_it_was_sent_and_never_larger_than_was_asked_for() {
    let picture = Picture::new(40, 3, (0..360).map(|n| n as u8).collect()).unwrap();
    let window = DecodedWindow { picture: picture.clone(), format: Format::Png, width: 90, height: 3, quality: vec![] };
    let mut sent = Vec::new();
    send_window(Trickle(&mut sent), Ok(window)).unwrap();
    let mut from = Trickle(sent.as_slice());
    let response = read_response(&mut from).unwrap();
    let Response::Window { width, height, .. } = response else { panic!("{response:?}") };
    assert!(read_window(&mut from, width, height, 40).unwrap() == picture);
    assert!(from.0.is_empty());
    assert!(read_window(&[][..], 0, 7, 40).is_err());
    assert_eq!(read_window(io::repeat(7), u32::MAX, u32::MAX, 2).unwrap().rgb(), [7; 12]);
}

#[test]
fn a_whole_picture_arrives_as_it_was_sent_and_never_larger_than_was_asked_for() {
    let picture = Picture::new(40, 3, (0..360).map(|n| n as u8).collect()).unwrap();
    let whole = DecodedWhole { picture: picture.clone(), format: Format::Png, width: 80, height: 6 };
    let mut sent = Vec::new();
    send_whole(Trickle(&mut sent), Ok(whole)).unwrap();
    let mut from = Trickle(sent.as_slice());
    let response = read_response(&mut from).unwrap();
    let Response::Whole { width, height, .. } = response else { panic!("{response:?}") };
    assert!(read_whole(&mut from, width, height, 40).unwrap() == picture);
    assert!(from.0.is_empty());
    assert!(read_whole(io::repeat(7), 0, 7, 40).is_err());
    assert_eq!(read_whole(io::repeat(7), u32::MAX, u32::MAX, 2).unwrap().rgb(), [7; 12]);
    let most = read_whole(io::repeat(7), u32::MAX, u32::MAX, u32::MAX).unwrap();
    assert!((most.width() * most.height()) as u64 <= crate::MAX_WHOLE_PIXELS);
}

#[test]
fn a_response_that_makes_no_sense_is_an_error() {
    for bytes in [&b"\xff\xff\xff\xff"[..], b"\x02\0\0\0{}", b"\x04\0\0\0nu", b"\x08\0\0\0\"decoded"] {
        assert!(read_response(bytes).is_err(), "{bytes:?}");
    }
    assert!(read_crop(&[0; 9][..]).is_err());
}
