// An OpenID Connect issuer on loopback. Whoever comes is signed in as `login_hint` says, without a page. It writes its address on
// one line, and ends with its standard input.
//
//     node issuer.js REDIRECT_URL

import { createServer } from "node:http";
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { Provider } from "oidc-provider";

// Nobody reads on after the address.
console.info = console.warn = console.error;

const people = {
  ann: { name: "Ann Example", groups: ["moderators", "staff"] },
  ben: { name: "Ben\u0000 Example", groups: ["leads", "beta-viewers"] },
  root: { preferred_username: "root", groups: "admins" },
  nobody: { name: "Nobody", groups: ["Moderators", "*", 7, { moderators: true }] },
  groupless: { name: "Groupless" },
};

const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" });

function configuration(redirectUrl) {
  return {
    clients: [
      {
        client_id: "assay",
        client_secret: "not much of a secret",
        redirect_uris: [redirectUrl],
        id_token_signed_response_alg: "ES256",
      },
    ],
    jwks: { keys: [{ ...key, use: "sig", alg: "ES256", kid: "one" }] },
    cookies: { keys: [randomUUID()] },
    claims: { openid: ["sub"], profile: ["name", "preferred_username"], groups: ["groups"] },
    features: { devInteractions: { enabled: false }, claimsParameter: { enabled: true } },
    pkce: { required: () => true },
    interactions: { url: (context, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (context, id) =>
      people[id] && { accountId: id, claims: () => ({ sub: id, ...people[id] }) },
  };
}

async function signIn(provider, request, response) {
  const { params, grantId } = await provider.interactionDetails(request, response);
  const accountId = params.login_hint;
  if (!people[accountId]) {
    const result = { error: "access_denied", error_description: "nobody of that name" };
    return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
  }
  const grant = (grantId && (await provider.Grant.find(grantId))) || new provider.Grant({ accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  grant.addOIDCClaims(["name", "groups"]);
  const result = { login: { accountId }, consent: { grantId: await grant.save() } };
  return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const address = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(address, configuration(process.argv[2]));
  const answer = provider.callback();
  server.on("request", (request, response) => {
    if (!request.url.startsWith("/interaction/")) return answer(request, response);
    signIn(provider, request, response).catch((error) => {
      response.statusCode = 500;
      response.end(String(error));
    });
  });
  process.stdout.write(`${address}\n`);
});
process.stdin.on("end", () => process.exit(0)).resume();
