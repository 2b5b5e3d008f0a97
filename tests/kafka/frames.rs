//! Frames of Kafka's protocol, as far as the proxy has to know them: whose a request is and where it
//! goes; where in an answer its error code is.

/// Kinds of requests whose answers are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Api {
    Produce,
    Fetch,
    ListOffsets,
    Metadata,
    FindCoordinator,
    JoinGroup,
    Heartbeat,
    SyncGroup,
    /// What versions there are: `ApiVersions`.
    Versions,
    CreateTopics,
    InitProducerId,
}

/// What the protocol calls them, and the newest version without compact fields.
const APIS: [(Api, i16, i16); 11] = [
    (Api::Produce, 0, 8),
    (Api::Fetch, 1, 11),
    (Api::ListOffsets, 2, 5),
    (Api::Metadata, 3, 8),
    (Api::FindCoordinator, 10, 2),
    (Api::JoinGroup, 11, 5),
    (Api::Heartbeat, 12, 3),
    (Api::SyncGroup, 14, 3),
    (Api::Versions, 18, 2),
    (Api::CreateTopics, 19, 4),
    (Api::InitProducerId, 22, 1),
];

impl Api {
    pub(crate) fn of(key: i16) -> Option<Self> {
        APIS.iter().find(|(_, of, _)| *of == key).map(|(api, ..)| *api)
    }
}

/// Reads big-endian fields one after the other.
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    fn skip(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn int16(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(self.skip(2)?.try_into().ok()?))
    }

    fn int32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.skip(4)?.try_into().ok()?))
    }

    /// A text that may be null.
    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.int16()?;
        self.skip(usize::try_from(length.max(0)).ok()?)
    }
}

/// The head of a request.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) api: i16,
    pub(crate) version: i16,
    pub(crate) correlation: i32,
    pub(crate) client: String,
    body: &'a [u8],
}

impl<'a> Request<'a> {
    pub(crate) fn read(frame: &'a [u8]) -> Option<Self> {
        let mut fields = Fields::new(frame, 0);
        let (api, version) = (fields.int16()?, fields.int16()?);
        let correlation = fields.int32()?;
        let client = String::from_utf8_lossy(fields.text()?).into_owned();
        Some(Self { api, version, correlation, client, body: &frame[fields.at..] })
    }

    /// Gives the topic and the partition that this produces to. A request of ours has one of each.
    pub(crate) fn produces_to(&self) -> Option<(String, i32)> {
        if Api::of(self.api) != Some(Api::Produce) {
            return None;
        }
        let mut fields = Fields::new(self.body, 0);
        let _transactional_id = fields.text()?;
        let _acks_and_timeout = fields.skip(6)?;
        let _topics = fields.int32()?;
        let topic = String::from_utf8_lossy(fields.text()?).into_owned();
        let _partitions = fields.int32()?;
        Some((topic, fields.int32()?))
    }
}

/// Gives the number of the request that an answer belongs to.
pub(crate) fn correlation(answer: &[u8]) -> Option<i32> {
    Fields::new(answer, 0).int32()
}

/// Takes from an answer about versions those whose fields have no fixed places.
pub(crate) fn keep_versions_plain(api: Api, answer: &mut [u8]) {
    if api != Api::Versions {
        return;
    }
    // Its entries have a fixed size in every version; before them are the number, a code, and a count:
    // of one byte, since there are fewer than 127, or of four.
    let compact = answer.get(6).is_some_and(|count| *count > 1);
    let (mut at, size) = if compact { (7, 7) } else { (10, 6) };
    while let Some(entry) = answer.get_mut(at..at + 6) {
        let key = i16::from_be_bytes([entry[0], entry[1]]);
        if let Some((_, _, newest)) =
            APIS.iter().find(|(api, of, _)| *of == key && *api != Api::Versions)
        {
            let offered = i16::from_be_bytes([entry[4], entry[5]]);
            entry[4..6].copy_from_slice(&offered.min(*newest).to_be_bytes());
        }
        at += size;
        // After the entries there are other fields.
        let left = if compact { usize::from(answer[6]) - 1 } else { usize::from(answer[9]) };
        if (at - if compact { 7 } else { 10 }) / size >= left {
            break;
        }
    }
}

/// Writes an error code where an answer has its own; tells whether it has such a place.
pub(crate) fn write_error(api: Api, version: i16, answer: &mut [u8], code: i16) -> bool {
    let Some(place) = place_of_error(api, version, answer) else { return false };
    let Some(field) = answer.get_mut(place..place + 2) else { return false };
    field.copy_from_slice(&code.to_be_bytes());
    true
}

/// Finds the error code of an answer: that of its first partition or topic, where it has such.
fn place_of_error(api: Api, version: i16, answer: &[u8]) -> Option<usize> {
    let (_, _, newest) = APIS.iter().find(|(of, ..)| *of == api)?;
    if version > *newest && api != Api::Versions {
        return None;
    }
    let mut fields = Fields::new(answer, 4);
    match api {
        Api::Produce => first_partition(&mut fields),
        Api::Fetch => {
            fields.skip(4 + 2 + 4)?;
            first_partition(&mut fields)
        }
        Api::ListOffsets => {
            fields.skip(4)?;
            first_partition(&mut fields)
        }
        Api::Metadata => {
            fields.skip(4)?;
            for _ in 0..fields.int32()? {
                fields.skip(4)?;
                fields.text()?;
                fields.skip(4)?;
                fields.text()?;
            }
            fields.text()?;
            fields.skip(4)?;
            (fields.int32()? > 0).then_some(fields.at)
        }
        Api::CreateTopics => {
            fields.skip(4)?;
            if fields.int32()? < 1 {
                return None;
            }
            fields.text()?;
            Some(fields.at)
        }
        Api::Versions => Some(4),
        Api::FindCoordinator
        | Api::JoinGroup
        | Api::Heartbeat
        | Api::SyncGroup
        | Api::InitProducerId => Some(8),
    }
}

fn first_partition(fields: &mut Fields<'_>) -> Option<usize> {
    if fields.int32()? < 1 {
        return None;
    }
    fields.text()?;
    if fields.int32()? < 1 {
        return None;
    }
    fields.skip(4)?;
    Some(fields.at)
}
