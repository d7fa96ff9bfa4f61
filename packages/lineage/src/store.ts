import { join } from "node:path";
import { ArtifactStore } from "./artifact-store.ts";
import { FileBlobStore, type BlobStore } from "./blob-store.ts";
import { LeaseStore } from "./lease.ts";
import { makeFolder } from "./make-folder.ts";
import { NameStore } from "./names.ts";
import { PieceStore } from "./pieces.ts";
import { RecordStore } from "./record-store.ts";
import { StageRecords } from "./records.ts";

/** Everything that is kept: blobs, artifacts and pieces over them, records, names, leases. */
export interface Store {
  readonly root: string;
  readonly blobs: BlobStore;
  readonly artifacts: ArtifactStore;
  readonly pieces: PieceStore;
  readonly records: StageRecords;
  readonly names: NameStore;
  readonly leases: LeaseStore;
}

/** Opens the store in a directory, creating it when it is not there. @throws FolderUnusable, DiskFull */
export async function openStore(root: string, options: { readonly leaseExpiryMs?: number } = {}): Promise<Store> {
  makeFolder(root);
  const blobs = new FileBlobStore(join(root, "blobs"));
  return {
    root,
    blobs,
    artifacts: new ArtifactStore(blobs),
    pieces: new PieceStore(blobs, new RecordStore(join(root, "pieces"))),
    records: new StageRecords(new RecordStore(join(root, "records"))),
    names: new NameStore(new RecordStore(join(root, "names"))),
    leases: new LeaseStore(join(root, "leases"), options.leaseExpiryMs),
  };
}
