import type { InnerStage } from "./inner-stage.ts";
import { contamination } from "./stages/contamination.ts";
import { copyrightHeaders } from "./stages/copyright-headers.ts";
import { exactDuplicates } from "./stages/exact-duplicates.ts";
import { language } from "./stages/language.ts";
import { licence } from "./stages/licence.ts";
import { nearDuplicates } from "./stages/near-duplicates.ts";
import { personalData } from "./stages/personal-data.ts";
import { quality } from "./stages/quality.ts";

/**
 * The stages inside the corpus, in the order in which they have their say. Duplicates go before quality, so that no worse
 * copy of a dropped file stays; what may not be used at all goes before near-duplicates, so that it stands for nothing.
 */
export const INNER_STAGES: readonly InnerStage[] = [exactDuplicates, language, licence, contamination, nearDuplicates, quality, personalData, copyrightHeaders];
