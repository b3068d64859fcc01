//! The Status values of each command.

use std::fmt;

use super::{GlobalStatus, Reaction};

statuses! {
    /// Status of a Ping answer (ASCMD 2.2.3.177.11).
    PingStatus {
        Expired = 1 => Proceed, "the heartbeat ended without a change";
        Changes = 2 => SyncFolders, "changes in at least one folder";
        MissingParameters = 3 => SendFull, "parameters missing and none cached";
        SyntaxError = 4 => FixRequest, "syntax error";
        HeartbeatOutOfRange = 5 => AdoptLimit, "heartbeat out of range";
        TooManyFolders = 6 => AdoptLimit, "too many folders";
        HierarchyOutOfDate = 7 => RefreshHierarchy, "folder hierarchy out of date";
        ServerError = 8 => RetryLater, "server error";
    }
    else GlobalStatus
}

statuses! {
    /// Status of a Sync answer or of a collection in it (ASCMD 2.2.3.177.17).
    SyncStatus {
        Success = 1 => Proceed, "success";
        InvalidSyncKey = 3 => ResetSyncKey, "invalid sync key";
        ProtocolError = 4 => FixRequest, "protocol error";
        ServerError = 5 => RetryLater, "server error";
        ConversionError = 6 => SkipItem, "conversion error";
        Conflict = 7 => SkipItem, "conflict, the server wins";
        ObjectNotFound = 8 => RetryLater, "object not found, sync again";
        OutOfDisk = 9 => GiveUp, "out of disk space";
        HierarchyChanged = 12 => RefreshHierarchy, "folder hierarchy changed";
        IncompleteRequest = 13 => SendFull, "empty or partial request and none cached";
        IntervalOutOfRange = 14 => AdoptLimit, "Wait or HeartbeatInterval out of range";
        TooManyCollections = 15 => AdoptLimit, "too many collections";
        Retry = 16 => RetryLater, "retry";
    }
    else GlobalStatus
}

statuses! {
    /// Status of a FolderSync answer (ASCMD 2.2.3.177.5).
    FolderSyncStatus {
        Success = 1 => Proceed, "success";
        ServerError = 6 => RetryLater, "server error";
        InvalidSyncKey = 9 => ResetHierarchy, "sync key mismatch or corrupt state";
        MalformedRequest = 10 => FixRequest, "malformed request";
        UnknownError = 11 => RetryLater, "unknown error";
        CodeUnknown = 12 => RetryLater, "unusual back-end problem";
    }
    else GlobalStatus
}

statuses! {
    /// Status of a Provision answer (ASPROV 2.2.2.54).
    ProvisionStatus {
        Success = 1 => Proceed, "success";
        ProtocolError = 2 => FixRequest, "protocol error";
        ServerError = 3 => RetryLater, "server error";
    }
    else GlobalStatus
}

statuses! {
    /// Status of a policy in a Provision answer (ASPROV 2.2.2.54).
    PolicyStatus {
        Success = 1 => Proceed, "success";
        NoPolicy = 2 => Proceed, "no policy for this client";
        UnknownPolicyType = 3 => FixRequest, "unknown policy type";
        Corrupt = 4 => RetryLater, "policy data corrupt";
        WrongKey = 5 => Provision, "the wrong policy key was acknowledged";
    }
    else GlobalStatus
}

statuses! {
    /// Status of a GetItemEstimate answer (ASCMD 2.2.3.177.7).
    EstimateStatus {
        Success = 1 => Proceed, "success";
        UnknownCollection = 2 => RefreshHierarchy, "unknown collection";
        NotPrimed = 3 => ResetSyncKey, "the collection was never synced with key 0";
        InvalidSyncKey = 4 => ResetSyncKey, "invalid sync key";
    }
    else GlobalStatus
}

statuses! {
    /// Status of a Settings answer or of a property in it (ASCMD 2.2.3.177.15).
    SettingsStatus {
        Success = 1 => Proceed, "success";
        ProtocolError = 2 => FixRequest, "protocol error";
        AccessDenied = 3 => GiveUp, "access denied";
        Unavailable = 4 => RetryLater, "server unavailable";
        InvalidArguments = 5 => FixRequest, "invalid arguments";
        ConflictingArguments = 6 => FixRequest, "conflicting arguments";
        DeniedByPolicy = 7 => GiveUp, "denied by policy";
    }
    else GlobalStatus
}

statuses! {
    /// Status of an ItemOperations answer or of an operation in it (ASCMD 2.2.3.177.8).
    ItemOperationsStatus {
        Success = 1 => Proceed, "success";
        ProtocolError = 2 => FixRequest, "protocol error";
        ServerError = 3 => RetryLater, "server error";
        LibraryUriInvalid = 4 => FixRequest, "document library: invalid URI";
        LibraryAccessDenied = 5 => SkipItem, "document library: access denied";
        LibraryNotFound = 6 => SkipItem, "document library: not found or access denied";
        LibraryUnreachable = 7 => RetryLater, "document library: no connection to its server";
        InvalidRange = 8 => FixRequest, "byte range invalid or too large";
        UnknownStore = 9 => FixRequest, "unknown or unsupported store";
        EmptyFile = 10 => SkipItem, "empty file";
        TooLarge = 11 => SkipItem, "requested data too large";
        IoFailure = 12 => RetryLater, "file could not be read";
        ConversionFailed = 14 => SkipItem, "conversion failed";
        InvalidAttachment = 15 => SkipItem, "invalid attachment";
        AccessDenied = 16 => SkipItem, "access to the item denied";
        PartialSuccess = 17 => Proceed, "partial success";
        CredentialsRequired = 18 => Reauthenticate, "credentials required";
        MoveDisallowed = 155 => SkipItem, "move not allowed";
        InvalidDestinationFolder = 156 => SkipItem, "invalid destination folder";
    }
    else GlobalStatus
}

statuses! {
    /// Status of a FolderCreate, FolderDelete or FolderUpdate answer (ASCMD 2.2.3.177.3,
    /// 2.2.3.177.4 and 2.2.3.177.6).
    FolderChangeStatus {
        Success = 1 => Proceed, "success";
        NameExists = 2 => SkipItem, "a folder of that name exists, or the folder is a special one";
        SpecialFolder = 3 => SkipItem, "a special folder, which a client cannot change";
        FolderNotFound = 4 => RefreshHierarchy, "no such folder";
        ParentNotFound = 5 => RefreshHierarchy, "no such parent folder";
        ServerError = 6 => RetryLater, "server error";
        InvalidSyncKey = 9 => ResetHierarchy, "sync key mismatch or corrupt state";
        MalformedRequest = 10 => FixRequest, "malformed request";
        UnknownError = 11 => RetryLater, "unknown error";
        CodeUnknown = 12 => RetryLater, "unusual back-end problem";
    }
    else GlobalStatus
}

statuses! {
    /// Status of one move in a MoveItems answer (ASCMD 2.2.3.177.10).
    MoveStatus {
        InvalidSource = 1 => RefreshHierarchy, "source folder or item unknown";
        InvalidDestination = 2 => RefreshHierarchy, "destination folder unknown";
        Success = 3 => Proceed, "success";
        SameFolder = 4 => FixRequest, "source and destination are the same folder";
        Failed = 5 => RetryLater, "the item could not be moved";
        Locked = 7 => RetryLater, "source or destination is locked";
    }
    else GlobalStatus
}

statuses! {
    /// Status of one reply in a MeetingResponse answer (ASCMD 2.2.3.177.9).
    MeetingResponseStatus {
        Success = 1 => Proceed, "success";
        InvalidRequest = 2 => SkipItem, "no meeting request, or a reply it does not take";
        MailboxError = 3 => RetryLater, "error in the mailbox";
        ServerError = 4 => RetryLater, "server error";
    }
    else GlobalStatus
}

statuses! {
    /// Status of a Search answer or of the store in it (ASCMD 2.2.3.177.14).
    SearchStatus {
        Success = 1 => Proceed, "success";
        InvalidRequest = 2 => FixRequest, "invalid request";
        ServerError = 3 => RetryLater, "server error";
        BadLink = 4 => FixRequest, "bad link";
        AccessDenied = 5 => GiveUp, "access denied";
        NotFound = 6 => SkipItem, "not found";
        ConnectionFailed = 7 => RetryLater, "connection failed";
        TooComplex = 8 => FixRequest, "the query is too complex";
        TimedOut = 10 => RetryLater, "timed out";
        FolderSyncRequired = 11 => RefreshHierarchy, "the folder hierarchy must be synced first";
        EndOfRange = 12 => Proceed, "the range reaches beyond what can be retrieved";
        AccessBlocked = 13 => GiveUp, "access blocked";
        CredentialsRequired = 14 => Reauthenticate, "credentials required";
    }
    else GlobalStatus
}

statuses! {
    /// Status of a Find answer or of the response in it (ASCMD 2.2.3.177.2).
    FindStatus {
        Success = 1 => Proceed, "success";
        InvalidRequest = 2 => FixRequest, "invalid request";
        FolderSyncRequired = 3 => RefreshHierarchy, "the folder hierarchy must be synced first";
        StartWithRangeZero = 4 => FixRequest, "the first range of a search must begin with 0";
    }
    else GlobalStatus
}

statuses! {
    /// Status of a ResolveRecipients answer, of a name in it or of that name's certificates (ASCMD
    /// 2.2.3.177.13).
    ResolveRecipientsStatus {
        Success = 1 => Proceed, "success";
        Ambiguous = 2 => Proceed, "ambiguous, all matches listed";
        AmbiguousPartial = 3 => Proceed, "ambiguous, some matches listed";
        NotFound = 4 => SkipItem, "no such recipient";
        ProtocolError = 5 => FixRequest, "protocol error";
        ServerError = 6 => RetryLater, "server error";
        NoCertificate = 7 => SkipItem, "no valid certificate";
        TooManyCertificates = 8 => SkipItem, "more certificates than asked for";
    }
    else GlobalStatus
}

statuses! {
    /// Status of a ValidateCert answer or of a certificate in it (ASCMD 2.2.3.177.18).
    ValidateCertStatus {
        Success = 1 => Proceed, "success";
        ProtocolError = 2 => FixRequest, "protocol error";
        InvalidSignature = 3 => SkipItem, "the signature does not hold";
        UntrustedSource = 4 => SkipItem, "issued by an untrusted source";
        InvalidChain = 5 => SkipItem, "the chain is not well formed";
        NotForSigning = 6 => SkipItem, "not meant to sign mail";
        NotValidNow = 7 => SkipItem, "expired or not valid yet";
        InconsistentTimes = 8 => SkipItem, "validity periods of the chain do not agree";
        ChainMisused = 9 => SkipItem, "a certificate of the chain is used wrongly";
        Incomplete = 10 => SkipItem, "information is missing or wrong";
        IssuerMisused = 11 => SkipItem, "a certificate of the chain may not be used for this";
        AddressMismatch = 12 => SkipItem, "the address is another one";
        Revoked = 13 => SkipItem, "revoked";
        RevocationServerUnreachable = 14 => RetryLater, "the revocation server could not be asked";
        ChainRevoked = 15 => SkipItem, "a certificate of the chain is revoked";
        RevocationUnknown = 16 => SkipItem, "whether it is revoked cannot be told";
        ServerError = 17 => RetryLater, "unknown server error";
    }
    else GlobalStatus
}
