// A real identity provider for test_oidc.py: npm's oidc-provider on loopback.
// node oidc_provider.mjs PORT FOLDER, where FOLDER holds node_modules. Says "ready" when it answers.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [port, folder] = process.argv.slice(2);
const where = createRequire(`${folder}/package.json`).resolve('oidc-provider');
const { Provider } = await import(pathToFileURL(where));
const issuer = `http://127.0.0.1:${port}`;
const PASSWORDS = { alice: 'wonderland', bob: 'builder' };
const GROUPS = { alice: ['ops', 'staff'], bob: ['staff'] };

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'pileus',
      client_secret: 'hush',
      grant_types: [
        'authorization_code', 'client_credentials', 'password',
        'urn:ietf:params:oauth:grant-type:device_code',
      ],
      redirect_uris: ['http://127.0.0.1:1/callback', process.env.REDIRECT_URI].filter(Boolean),
      response_types: ['code'],
    },
    {
      client_id: 'stranger',
      client_secret: 'other',
      grant_types: ['client_credentials', 'password'],
      redirect_uris: [],
      response_types: [],
    },
  ],
  claims: { openid: ['sub'], profile: ['name', 'groups'], email: ['email'] },
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, name: id.toUpperCase(), email: `${id}@example.org`, groups: GROUPS[id] ?? [] }),
  }),
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: (ctx) => ctx.oidc.body?.resource ?? undefined,
      getResourceServerInfo: (ctx, resource) => ({
        scope: 'openid profile email api', audience: resource, accessTokenFormat: 'jwt',
      }),
    },
  },
  pkce: { required: () => false },
  cookies: { keys: ['of', 'a', 'test'] },
});

async function byPassword(ctx, next) {
  const { username, password, scope } = ctx.oidc.params;
  if (PASSWORDS[username] !== password) {
    ctx.status = 400;
    ctx.body = { error: 'invalid_grant' };
    return;
  }
  const { client } = ctx.oidc;
  const grant = new provider.Grant({ accountId: username, clientId: client.clientId });
  grant.addOIDCScope(scope);
  const token = new provider.AccessToken({
    accountId: username, client, grantId: await grant.save(), gty: 'password', scope,
  });
  ctx.body = { access_token: await token.save(), expires_in: 300, token_type: 'Bearer', scope };
  await next();
}
provider.registerGrantType('password', byPassword, ['username', 'password', 'scope']);
provider.on('server_error', (ctx, error) => console.error(error));
provider.listen(Number(port), '127.0.0.1', () => console.log('ready'));
