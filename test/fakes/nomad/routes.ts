import { accessRoutes } from './access-routes.ts';
import { allocationRoutes } from './allocation-routes.ts';
import { fileRoutes } from './file-routes.ts';
import { jobRoutes } from './job-routes.ts';
import type { Route } from './route.ts';

/** The first that fits answers. */
export const ROUTES: readonly Route[] = [...jobRoutes, ...allocationRoutes, ...fileRoutes, ...accessRoutes];
